-- The os library as far as it does not depend on place and time.
local function try(f) print(select(2, pcall(f))) end

for _, t in ipairs { 0, 1, 86399, 86400, 951782400, 1000000000, 1700000000, 2147483647, 4102444800, -1, -86400 } do
  print(t, os.date("!%Y-%m-%d %H:%M:%S", t), os.date("!%j %U %w %a %b %y", t))
end
local t = 1234567890
for spec in ("aAbBcdDeFgGhHIjmMnprRStTuUVwWxXyY%"):gmatch(".") do
  if spec ~= "c" and spec ~= "x" and spec ~= "X" and spec ~= "n" and spec ~= "t" then print(spec, os.date("!%" .. spec, t)) end
end
print(os.date("!plain text", 0), os.date("!", 0), os.date("!%%%Y%%", 0), os.date("!%n%t", 0) == "\n\t")
print(os.date("!%c", 0), os.date("!%x %X", 0))

-- Tables.
local function show(d) print(d.year, d.month, d.day, d.hour, d.min, d.sec, d.wday, d.yday, d.isdst) end
show(os.date("!*t", 0)); show(os.date("!*t", 1234567890)); show(os.date("!*t", 951868799)); show(os.date("!*t", 4102444799))
print(math.type(os.date("!*t", 0).year), type(os.date("*t").hour))

-- os.time normalises its argument and is the inverse of os.date in local time.
local when = { year = 2024, month = 2, day = 30, hour = 25, min = 61, sec = -1 }
local stamp = os.time(when)
print(when.year, when.month, when.day, when.hour, when.min, when.sec, when.yday, when.wday)
local back = os.date("*t", stamp)
print(back.month == when.month, back.day == when.day, back.hour == when.hour, os.time(back) == stamp)
print(os.time { year = 2020, month = 1, day = 2, hour = 12 } - os.time { year = 2020, month = 1, day = 1, hour = 12 })
print(os.time { year = 2021, month = 3, day = 1 } - os.time { year = 2021, month = 2, day = 28 })
print(os.time { year = 2020, month = 14, day = 1 } == os.time { year = 2021, month = 2, day = 1 })
print(os.time { year = "2020", month = "06", day = 15.0 } == os.time { year = 2020, month = 6, day = 15, hour = 12, min = 0, sec = 0 })
print(math.type(os.time()), os.time() > 1600000000, math.type(os.clock()), os.clock() >= 0, os.difftime(10, 5), os.difftime(5, 10.0))

print(os.getenv("A_VARIABLE_THAT_IS_SURELY_NOT_SET"), type(os.getenv("PATH")))
local name = os.tmpname()
print(type(name), io.open(name, "w"):close(), os.remove(name), io.open(name) == nil)
local ok, message, code = os.remove("/nonexistent/file")
print(ok, message, code)
ok, message, code = os.rename("/nonexistent/a", "/nonexistent/b")
print(ok, message, code)
local a, b = os.tmpname(), os.tmpname()
local f = io.open(a, "w"); f:write("moved"); f:close()
print(os.rename(a, b), io.open(a) == nil, io.open(b):read("a"), os.remove(b))

try(function() os.time {} end)
try(function() os.time { year = 2020, month = 1 } end)
try(function() os.time { year = 2020, month = 1, day = "x" } end)
try(function() os.time { year = 2020, month = 1.5, day = 1 } end)
try(function() os.time { year = 1 << 40, month = 1, day = 1 } end)
try(function() os.time(5) end)
try(function() os.date("%Q", 0) end)
try(function() os.date("*t", {}) end)
try(function() os.date("%Y", 1.5) end)
try(function() os.getenv() end)
try(function() os.remove() end)
try(function() os.difftime() end)
