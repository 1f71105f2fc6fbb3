-- Varargs, select, and the adjustment of multiple results.
local function count(...) return select("#", ...) end
local function pass(...) return ... end
local function three() return 1, 2, 3 end
local function none() end
local function try(f) print(select(2, pcall(f))) end

print(count(), count(nil), count(nil, nil), count(1, nil, 3, nil), count(none()), count((none())), count(three(), three()))
print(select(1, "a", "b", "c")); print(select(2, "a", "b", "c")); print(select(4, "a", "b", "c")); print(select(-1, "a", "b", "c")); print(select(-3, "a", "b", "c"))
print(select("#"), select("#", nil), (select(2, "a", "b", "c")))
print(select(2.0, "a", "b"), select("2", "a", "b"))

-- Adjustment.
local a, b, c, d = three()
print(a, b, c, d)
a, b = three(), 10
print(a, b)
a, b, c = 0, three()
print(a, b, c)
a, b, c = (three())
print(a, b, c)
a = three()
print(a)
a, b = none()
print(a, b)
print(three(), three()); print((three())); print(three(), nil)
print(pass(three())); print(pass(three(), "x")); print((pass(three())))
print(none() == nil, type(none() or nil), #{ none(), none() }, count(pass(none())))
print(pcall(type)); print(count(pcall(none)), count(pcall(three)))

-- Varargs in expressions and nested functions.
local function f(...)
  local x, y = ...
  local t = { ... }
  local n = select("#", ...)
  local function inner(...) return count(...), ... end
  return x, y, #t, n, (...), inner(...)
end
print(f()); print(f(1)); print(f(1, 2, 3))

local function sum(first, ...)
  if first == nil then return 0 end
  return first + sum(...)
end
print(sum(1, 2, 3, 4, 5), sum())

local function named(a, b, ...) return a, b, count(...), ... end
print(named()); print(named(1)); print(named(1, 2)); print(named(1, 2, 3, nil))

-- A vararg function called with many arguments.
local t = {}
for i = 1, 200 do t[i] = i end
print(count(table.unpack(t)), (select(200, table.unpack(t))), select(-1, table.unpack(t)), math.max(table.unpack(t)))
print(count(table.unpack(t, 1, 150), table.unpack(t, 1, 50)), #{ table.unpack(t), table.unpack(t) })
print(string.char(table.unpack({ 72, 101, 108, 108, 111 })), ("%d-%d-%d"):format(three()))

-- Missing and extra arguments.
local function two(a, b) return a, b end
print(two()); print(two(1)); print(two(1, 2, 3)); print(two(three())); print((two(three(), 9)))

-- Vararg functions that recurse, that are methods, that are coroutines.
local obj = { m = function(self, ...) return self ~= nil, count(...), ... end }
print(obj:m(three())); print(obj.m(nil, 1))
local co = coroutine.wrap(function(...)
  local got = { ... }
  while true do got = { coroutine.yield(#got, table.unpack(got)) } end
end)
print(co(1, 2)); print(co()); print(co(nil, nil, 5) ~= nil)

-- Main chunk varargs; load gives a vararg function.
print(count(...), load("return select('#', ...), ...")("a", "b"))
print(load("local a, b = ... return b, a")(1, 2, 3))

-- Long argument lists through several levels, tail calls keep all values.
local function tail(n, ...)
  if n == 0 then return ... end
  return tail(n - 1, n, ...)
end
print(tail(5)); print(count(tail(100)))

-- Assignments evaluate all expressions before they assign.
local i, arr = 1, { 10, 20, 30 }
i, arr[i], arr[i + 1] = 2, "x", "y"
print(i, arr[1], arr[2], arr[3])

try(function() select(0, 1) end)
try(function() select(-2, 1) end)
try(function() select() end)
try(function() select("x") end)
try(function() select({}) end)
