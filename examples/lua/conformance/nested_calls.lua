-- Protected calls, metamethods, message handlers, coroutines and library functions that
-- call back nest to the same depth as in real Lua, and the innermost call that cannot
-- nest any further fails.
local depth
local function results(...)
  local list = table.pack(...)
  print(list.n, list[1], list[list.n - 1], list[list.n], depth)
end

depth = 0
local function by_pcall() depth = depth + 1 return pcall(by_pcall) end
results(by_pcall())
results(by_pcall())

depth = 0
local function by_xpcall()
  depth = depth + 1
  return xpcall(by_xpcall, function(m) return "handled: " .. tostring(m) end)
end
results(by_xpcall())

depth = 0
local function by_resume()
  depth = depth + 1
  return coroutine.resume(coroutine.create(by_resume))
end
results(by_resume())

depth = 0
local function by_wrap() depth = depth + 1 return pcall(coroutine.wrap(by_wrap)) end
results(by_wrap())

depth = 0
local function by_sort()
  depth = depth + 1
  table.sort({ 1, 2 }, function(a, b) by_sort() return a < b end)
end
results(pcall(by_sort))

-- A handler for the overflow may make a few nested calls itself.
depth = 0
local greeting = setmetatable({}, { __index = function(_, k) return k .. "!" end })
local function overflow() depth = depth + 1 return (setmetatable({}, { __index = overflow })).x end
results(xpcall(overflow, function(m) return greeting.hello, pcall(error, m) end))
local function by_handler() depth = depth + 1 return xpcall(error, by_handler) end
depth = 0
results(by_handler())
results(xpcall(error, function(m) error(m, 0) end, "again"))

-- Metamethods of every kind.
local meta = {}
local object = setmetatable({}, meta)
for name, operation in pairs {
  __index = function(t) return t.x end,
  __newindex = function(t) t.x = 1 end,
  __add = function(t) return t + 1 end,
  __concat = function(t) return t .. "" end,
  __lt = function(t) return t < t end,
  __len = function(t) return #t end,
  __tostring = function(t) return tostring(t) end,
  __pairs = function(t) return pairs(t) end,
} do
  local deepest = 0
  meta[name] = function(t) deepest = deepest + 1 return operation(t) end
  local ok, message = pcall(operation, object)
  meta[name] = nil
  if deepest ~= 196 or ok or not message:find("C stack overflow$") then
    print(name, deepest, ok, message)
  end
end

-- Through a mixture of them, and of threads that were suspended at another depth.
depth = 0
local function mixed()
  depth = depth + 1
  return pcall(string.gsub, "x", "x", coroutine.wrap(mixed))
end
print(mixed() , depth)
local deep = coroutine.wrap(function()
  local function nest(n) if n == 0 then coroutine.yield() else pcall(nest, n - 1) end end
  nest(90)
  nest(150)
  return "deep"
end)
deep()
local function from(n) if n == 0 then return deep() end return select(2, pcall(from, n - 1)) end
print(from(90))

-- Nothing is left of it afterwards.
local function down(n) if n == 0 then return "bottom" end return select(2, pcall(down, n - 1)) end
print(down(190))
