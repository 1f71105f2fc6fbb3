-- The math library, except for the values of random numbers.
local function show(...)
  local parts = table.pack(...)
  for i = 1, parts.n do
    local v = parts[i]
    parts[i] = math.type(v) == "float" and string.format("%.10g", v) .. "f" or tostring(v)
  end
  print(table.concat(parts, " "))
end
local function try(f) print(select(2, pcall(f))) end

show(math.floor(3.7), math.floor(-3.7), math.floor(5), math.floor(-0.5), math.floor(1e100), math.floor(2 ^ 62), math.floor(-2 ^ 63))
show(math.ceil(3.2), math.ceil(-3.2), math.ceil(5), math.ceil(0.5), math.ceil(1e100), math.ceil(-0.5))
show(math.abs(-5), math.abs(-5.5), math.abs(math.mininteger), math.abs(0), math.abs(-0.0))
show(math.max(1, 2.5), math.max(3, 2), math.max(-1), math.max(1, 1.0), math.max(1.0, 1), math.max(1, 2, 3, 2))
show(math.min(1, 2.5), math.min(3, 2), math.min(1, 1.0), math.min(1.0, 1), math.min(2, 1.5, 1))
show(math.fmod(7, 3), math.fmod(-7, 3), math.fmod(7, -3), math.fmod(-7, -3), math.fmod(7.5, 2), math.fmod(-7.5, 2))
show(math.fmod(math.mininteger, -1), math.fmod(5, math.huge), math.fmod(6, 2), math.fmod(-6, 2.0))
show(math.modf(3.7), math.modf(-3.7), math.modf(5), math.modf(math.huge), math.modf(-math.huge))
show(math.modf(3.7)); show(math.modf(-3.7)); show(math.modf(4)); show(math.modf(-0.25))
show(math.tointeger(3.0), math.tointeger(3.5), math.tointeger("8"), math.tointeger({}), math.tointeger(2 ^ 63), math.tointeger(7))
show(math.ult(1, 2), math.ult(-1, 2), math.ult(2, -1), math.ult(0, 0), math.ult(math.maxinteger, math.mininteger))
show(math.type(1), math.type(1.0), math.type("1"), math.type(nil), math.type({}))
show(math.sqrt(16), math.sqrt(2), math.exp(0), math.exp(1), math.log(1), math.log(8, 2), math.log(100, 10), math.log(27, 3), math.log(0))
show(math.sin(0), math.cos(0), math.tan(0), math.sin(math.pi / 2), math.cos(math.pi))
show(math.asin(1), math.acos(1), math.atan(1), math.atan(1, -1), math.atan(-1, -1), math.atan(0, -1), math.atan(1, 0))
show(math.deg(math.pi), math.rad(180), math.pi, math.huge, -math.huge)
show(math.maxinteger, math.mininteger, math.maxinteger // 1 == math.maxinteger)
show(math.sqrt(-1) ~= math.sqrt(-1), math.acos(2) ~= math.acos(2), math.fmod(1, 0.0) ~= math.fmod(1, 0.0))
show(math.floor("3.7"), math.abs("-3"), math.max("10" + 0, 2), math.sqrt("4"))

-- random: types and ranges only.
math.randomseed(42)
local same = {}
for i = 1, 20 do same[i] = math.random(1000000) end
math.randomseed(42)
local equal = true
for i = 1, 20 do equal = equal and same[i] == math.random(1000000) end
print("same seed, same sequence:", equal)

local ok = true
for _ = 1, 500 do
  local f, d, r = math.random(), math.random(6), math.random(-3, 3)
  ok = ok and f >= 0 and f < 1 and math.type(f) == "float"
  ok = ok and d >= 1 and d <= 6 and math.type(d) == "integer" and r >= -3 and r <= 3
end
print("ranges:", ok, math.random(5, 5), math.type(math.random(0)), math.random(math.mininteger, math.maxinteger) ~= nil)

local seen, distinct = {}, 0
for _ = 1, 300 do
  local v = math.random(4)
  if not seen[v] then seen[v] = true; distinct = distinct + 1 end
end
print("distinct:", distinct)

try(function() return math.random(0.5) end)
try(function() return math.random(2, 1) end)
try(function() return math.random(1, 2, 3) end)
try(function() return math.random(-1) end)
try(function() return math.floor() end)
try(function() return math.floor("x") end)
try(function() return math.floor({}) end)
try(function() return math.max() end)
try(function() return math.min() end)
try(function() return math.fmod(1) end)
try(function() return math.fmod(1, 0) end)
try(function() return math.ult(1.5, 2) end)
try(function() return math.type() end)
try(function() return math.tointeger() end)
try(function() return math.abs(nil) end)
try(function() return math.sqrt(true) end)
