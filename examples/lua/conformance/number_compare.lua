-- Comparisons between integers and floats must be exact, even where the integer
-- has no float of the same value.
local max, min = math.maxinteger, math.mininteger
local inf, nan = math.huge, 0 / 0

local function row(a, b)
  print(a < b, a <= b, a > b, a >= b, a == b, a ~= b)
end

row(max, max + 0.0)
row(max + 0.0, max)
row(min, min + 0.0)
row(max - 1, max + 0.0)
row(min + 1, min + 0.0)
row(max, inf)
row(min, -inf)
row(-inf, min)
row(max, nan)
row(nan, min)
row(1, 1.0)
row(1, 1.5)
row(-1, -1.5)
row(2, 1.9999999999999998)
row(0, -0.0)
row(2 ^ 53, 2 ^ 53 | 0)
row(2 ^ 53, (2 ^ 53 | 0) + 1)
row((2 ^ 53 | 0) + 1, 2 ^ 53 + 2)
row(max, 9223372036854774784.0)
row(9223372036854774784, 9223372036854774784.0)
row(min, -9223372036854777856.0)
row(0, 5e-324)

-- Strings compare byte by byte; numbers and strings are never equal.
row("a", "b")
row("a", "a")
row("a", "ab")
row("", "a")
row("Z", "a")
row("a\0b", "a\0c")
row("a\0", "a")
row("10", "9")
print(1 == "1", "1" == 1, 0 == false, nil == false, "" == false, 1 == 1.0)

-- Equality of other types is identity.
local t = {}
print(t == t, t == {}, print == print, (function() end) == (function() end))
print(coroutine.running() == coroutine.running(), io.stdout == io.stdout)

-- Comparison errors name both types.
local function try(f) print(select(2, pcall(f))) end
try(function() return 1 < "2" end)
try(function() return "1" < 2 end)
try(function() return {} < {} end)
try(function() return nil < 1 end)
try(function() return 1 <= nil end)
try(function() return true > false end)
try(function() return print < 1 end)
try(function() return {} >= 1 end)
try(function() return "x" > nil end)

-- Sorting a mix of integers and floats.
local list = { 3, 1.5, -2, 2.5, max, min, 1e300, -1e300, 0, 0.5, 9007199254740993, 9007199254740992.0 }
table.sort(list)
for i, v in ipairs(list) do list[i] = tostring(v) end
print(table.concat(list, " "))
