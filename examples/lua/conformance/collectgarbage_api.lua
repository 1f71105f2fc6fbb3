-- The interface of collectgarbage, as far as every collector can promise it. What is
-- collected when is not visible here.
print(collectgarbage("collect"), collectgarbage(), collectgarbage(nil))
local count = collectgarbage("count")
print(math.type(count), count > 0)
print(type(collectgarbage("step")), type(collectgarbage("step", 100)))
print(collectgarbage("isrunning"))
print(collectgarbage("stop"), collectgarbage("isrunning"), collectgarbage("restart"), collectgarbage("isrunning"))
print(type(collectgarbage("incremental")), type(collectgarbage("generational")), collectgarbage("incremental"), collectgarbage("generational"), collectgarbage("incremental"))
print(pcall(collectgarbage, "nonsense"))
print(pcall(collectgarbage, {}))
print(select("#", collectgarbage("collect")), select("#", collectgarbage("count")))

-- Memory in use falls after the garbage is dropped and collected.
collectgarbage()
local before = collectgarbage("count")
local keep = {}
for i = 1, 20000 do keep[i] = { i, tostring(i) } end
local during = collectgarbage("count")
keep = nil
collectgarbage(); collectgarbage()
local after = collectgarbage("count")
print(during > before, after < during, (after - before) < (during - before) / 2)

-- Values in use survive collections at every turn.
local alive = {}
for i = 1, 50 do
  alive[i] = { name = "n" .. i, f = function() return i end, co = coroutine.wrap(function() coroutine.yield(i) end) }
  collectgarbage(i % 2 == 0 and "collect" or "step")
end
local sum = 0
for i = 1, 50 do sum = sum + alive[i].f() + alive[i].co() + #alive[i].name end
print(sum)

-- Collections inside metamethods, iterators, coroutines, sort, gsub and error handlers.
local t = setmetatable({}, { __index = function(_, k) collectgarbage(); return k .. "!" end, __concat = function() collectgarbage(); return "c" end })
print(t.x, t .. "y", t.a .. t.b)
for k, v in pairs({ a = 1 }) do collectgarbage(); print(k, v) end
local list = {}
for i = 1, 40 do list[i] = { v = i * 7 % 40 } end
table.sort(list, function(a, b) if a.v % 5 == 0 then collectgarbage() end return a.v < b.v end)
print(list[1].v, list[40].v)
print((("abc"):gsub(".", function(c) collectgarbage(); return c:upper() .. #c end)))
print(xpcall(function() error({ code = 5 }) end, function(e) collectgarbage(); return e.code end))
local co = coroutine.wrap(function() local x = { "in coroutine" } collectgarbage() coroutine.yield(x[1]) collectgarbage() return x[1] .. " again" end)
print(co(), co())
print(select("#", table.unpack((function() local r = {} for i = 1, 100 do r[i] = {} end collectgarbage() return r end)())))

-- Deep and cyclic structures.
local ring = { 1 }
local node = ring
for i = 2, 10000 do node.next = { i }; node = node.next end
node.next = ring
collectgarbage()
sum, node = 0, ring
repeat sum = sum + node[1]; node = node.next until node == ring
print(sum)
local deep = {}
for _ = 1, 50000 do deep = { deep } end
collectgarbage()
local depth = 0
while deep do depth = depth + 1; deep = deep[1] end
print(depth)
