-- tonumber with and without base, and tostring.
local function show(...)
  local n = select("#", ...)
  local parts = {}
  for i = 1, n do
    local v = select(i, ...)
    parts[i] = math.type(v) and tostring(v) .. ":" .. math.type(v) or tostring(v)
  end
  print(table.concat(parts, " "))
end

show(tonumber("10"), tonumber("  10  "), tonumber("10.5"), tonumber("1e2"), tonumber("0x1F"), tonumber("-0x10"))
show(tonumber(""), tonumber(" "), tonumber("-"), tonumber("+5"), tonumber("- 5"), tonumber("1 0"), tonumber("10a"))
show(tonumber("0x"), tonumber("0x.p1"), tonumber("0x1p"), tonumber("1e"), tonumber("1e+"), tonumber("."), tonumber(".e1"))
show(tonumber("5."), tonumber(".5"), tonumber("0x.8"), tonumber("0x8."), tonumber("0x1p-1"), tonumber("1E+2"))
show(tonumber("inf"), tonumber("nan"), tonumber("infinity"), tonumber("1_000"), tonumber("1,5"))
show(tonumber("9223372036854775807"), tonumber("9223372036854775808"), tonumber("-9223372036854775808"), tonumber("-9223372036854775809"))
show(tonumber("0xffffffffffffffff"), tonumber("0x1ffffffffffffffff"), tonumber("0x8000000000000000"))
show(tonumber("1\0"), tonumber("\t\n\v\f\r1\t\n\v\f\r"), tonumber("1e308"), tonumber("1e309"), tonumber("-1e309"))
show(tonumber(5), tonumber(5.5), tonumber(nil), tonumber({}), tonumber(true), tonumber(print))

show(tonumber("10", 2), tonumber("ff", 16), tonumber("FF", 16), tonumber("zz", 36), tonumber("-zz", 36), tonumber("777", 8))
show(tonumber("12", 2), tonumber("g", 16), tonumber("", 10), tonumber("  11  ", 2), tonumber("1 1", 2), tonumber("-", 10))
show(tonumber("1.5", 10), tonumber("1e1", 16), tonumber("0x10", 16), tonumber("7fffffffffffffff", 16), tonumber("ffffffffffffffff", 16))
show(tonumber("10000000000000000", 16), tonumber("10", 36), tonumber("10", 3))

local function try(f) print(select(2, pcall(f))) end
try(function() return tonumber() end)
try(function() return tonumber(10, 10) end)
try(function() return tonumber("10", 1) end)
try(function() return tonumber("10", 37) end)
try(function() return tonumber({}, 10) end)
try(function() return tonumber("10", "x") end)
try(function() return tostring() end)

show(tostring(nil), tostring(true), tostring(false), tostring("x"), tostring(12), tostring(-0.0), tostring(1e100))
show(tostring(2 ^ 31), tostring(1e15), tostring(-1e15), tostring(123456.789e3))
print(tostring({}):match("^table: ") ~= nil, tostring(print):match("^function: ") ~= nil,
  tostring(coroutine.create(print)):match("^thread: ") ~= nil, tostring(io.stdout):match("^file %(") ~= nil)
print(#tostring(12345), tostring(1) == "1", tostring(tostring(tostring(5))) == nil)
-- A sign and spaces with a base.
for _, text in ipairs {
  "+1Z", "-1z", "  +ff\t", "\v\f\r\n1\v\f", "-+1", "+-1", "++1", "+ 1", "- 1", "+", "-", "", " ", "1 1", "1\0",
  "1_0", "7fffffffffffffff", "ffffffffffffffff", "+10000000000000000", "0x10", "1e1", "1.0",
} do
  print(("%q"):format(text), tonumber(text, 36), tonumber(text, 16), tonumber(text, 10), tonumber(text, 2))
end
