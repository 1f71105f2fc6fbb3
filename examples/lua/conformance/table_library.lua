-- table.insert, remove, concat, unpack, pack, move, with metamethods and errors.
local function list(t, from, to)
  local parts = {}
  for i = from or 1, to or #t do parts[#parts + 1] = tostring(t[i]) end
  return table.concat(parts, " ")
end
local function try(f) print(select(2, pcall(f))) end

local t = {}
table.insert(t, "a"); table.insert(t, "c"); table.insert(t, 2, "b"); table.insert(t, 1, "0"); table.insert(t, #t + 1, "z")
print(list(t), select("#", table.insert(t, "end")))
print(table.remove(t), table.remove(t, 1), table.remove(t, 2), list(t))
print(table.remove({}), table.remove({}, 0), table.remove({ 1, 2 }, 3), #t, table.remove(t, #t + 1), select("#", table.remove({})))
print(table.remove({ [0] = "zero" }, 0), table.remove({ n = 1 }, #{}), list(t))

print(table.concat({}), table.concat({ 1, 2, 3 }), table.concat({ 1, 2, 3 }, ", "), table.concat({ 1, 2, 3 }, "-", 2), table.concat({ 1, 2, 3 }, "-", 2, 2))
print(table.concat({ "a", 1.5, 2 }, "|"), table.concat({ 1 }, "x", 2), table.concat({}, "x", 1, 0), table.concat({ 1, 2 }, 0), table.concat({ [5] = "five", [6] = "six" }, "+", 5, 6))
print(table.concat({ "x" }, "sep", math.maxinteger, math.maxinteger - 1) == "", table.concat({ [math.maxinteger] = "m" }, ",", math.maxinteger, math.maxinteger))

print(table.unpack { 1, 2, 3 })
print(table.unpack({ 1, 2, 3 }, 2))
print(table.unpack({ 1, 2, 3 }, 2, 3))
print(table.unpack({ 1, 2, 3 }, 0, 4))
print(table.unpack({}, 1, 2))
print(table.unpack({ 1, 2 }, 3))
print(table.unpack({ [math.maxinteger] = "m", [math.maxinteger - 1] = "l" }, math.maxinteger - 1, math.maxinteger))
print(table.unpack({ n = 3 }), select("#", table.unpack({}, 1, 100)), select("#", table.unpack({}, 5, 4)))
print((table.unpack { 1, 2 }), table.unpack({ 1, 2 }), 3)

local p = table.pack()
print(p.n, #p)
p = table.pack(nil, 2, nil)
print(p.n, p[1], p[2], p[3])

print(list(table.move({ 1, 2, 3 }, 1, 3, 2)), list(table.move({ 1, 2, 3 }, 2, 3, 1)), list(table.move({ 1, 2, 3 }, 1, 3, 1, {})))
print(list(table.move({ 1, 2, 3 }, 1, 0, 5)), list(table.move({ 1, 2, 3, 4, 5 }, 1, 4, 2)), list(table.move({ 1, 2, 3, 4, 5 }, 2, 5, 1)))
print(list(table.move({ 1, 2, 3 }, 1, 3, -2), -2, 3), list(table.move({}, 1, 3, 1, { 7, 8, 9 }), 1, 3))
print(table.move({ [math.maxinteger] = "m" }, math.maxinteger, math.maxinteger, 1)[1], table.move({ "x" }, 1, 1, math.mininteger)[math.mininteger])

-- Queue and stack use.
local stack, queue = {}, {}
for i = 1, 100 do table.insert(stack, i); table.insert(queue, 1, i) end
local sum = 0
for i = 1, 50 do sum = sum + table.remove(stack) * i + table.remove(queue, 1) end
print(sum, #stack, #queue, stack[#stack], queue[1], queue[#queue])

-- These functions respect metamethods.
local log = {}
local proxy = setmetatable({}, {
  __len = function() return 3 end,
  __index = function(_, k) log[#log + 1] = "get" .. tostring(k); return k * 10 end,
  __newindex = function(_, k, v) log[#log + 1] = "set" .. k .. "=" .. tostring(v) end,
})
print(table.concat(proxy, ","), table.unpack(proxy))
table.insert(proxy, "new")
table.insert(proxy, 2, "mid")
print(table.remove(proxy), table.remove(proxy, 1))
table.move(proxy, 1, 2, 3)
print(table.concat(log, " "))

-- Lengths that lie.
local liar = setmetatable({}, { __len = function() return 5 end })
print(table.concat(liar, ",", 1, 0), select("#", table.unpack(liar)), #liar, rawlen(liar))

try(function() table.insert(nil, 1) end)
try(function() table.insert({}) end)
try(function() table.insert({}, 1, 2, 3) end)
try(function() table.insert({}, 2, "x") end)
try(function() table.insert({}, 0, "x") end)
try(function() table.insert({ 1, 2 }, 4, "x") end)
try(function() table.insert({}, "a", "x") end)
try(function() table.insert({}, 1.5, "x") end)
try(function() table.remove({ 1, 2 }, 4) end)
try(function() table.remove({ 1, 2 }, -1) end)
try(function() table.remove(5) end)
try(function() table.concat({ {} }) end)
try(function() table.concat({ 1, nil, 3 }, ",", 1, 3) end)
try(function() table.concat({ true }) end)
try(function() table.concat({}, ",", 1, 2) end)
try(function() table.concat("x") end)
try(function() table.concat({}, {}) end)
try(function() table.unpack({}, 1, 1e8) end)
try(function() table.unpack({}, math.mininteger, math.maxinteger) end)
try(function() table.move({}, 1, 2) end)
try(function() table.move({}, 1, math.maxinteger, 2) end)
try(function() table.move({}, 1, 2, 3, 4) end)
try(function() table.insert(setmetatable({}, { __len = function() return "x" end }), 1) end)
try(function() table.insert("x", 1) end)
