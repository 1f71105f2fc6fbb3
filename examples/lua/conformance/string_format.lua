-- string.format: every directive, flags, widths, precisions, %q, and errors.
local f = string.format
local function try(g) print(select(2, pcall(g))) end

for _, spec in ipairs { "%d", "%5d", "%-5d|", "%05d", "%+d", "% d", "%.3d", "%8.3d", "%-8.3d|", "%+05d", "%i" } do
  print(spec, f(spec, 42), f(spec, -42), f(spec, 0), f(spec, 123456789))
end
print(f("%d %d %d", 3.0, "10", -0.0), f("%d", math.mininteger), f("%d", math.maxinteger), f("%.0d", 0))

for _, spec in ipairs { "%x", "%X", "%#x", "%08x", "%-8x|", "%o", "%#o", "%.4x", "%u" } do
  if spec ~= "%u" then print(spec, f(spec, 255), f(spec, 0), f(spec, 48879), f(spec, -1)) end
end

for _, spec in ipairs { "%f", "%.0f", "%.2f", "%10.3f", "%-10.3f|", "%+.1f", "%010.2f", "%#.0f", "% f" } do
  print(spec, f(spec, 3.14159), f(spec, -2.5), f(spec, 0), f(spec, 1e10))
end
for _, spec in ipairs { "%e", "%.0e", "%.3E", "%12.4e", "%-12.2e|", "%+e" } do
  print(spec, f(spec, 12345.678), f(spec, -0.00012), f(spec, 0), f(spec, 1e100))
end
for _, spec in ipairs { "%g", "%.3g", "%G", "%10g", "%-10g|", "%+g", "%#g", "%.14g", "%.17g", "%.0g" } do
  print(spec, f(spec, 0.1), f(spec, 100000), f(spec, 1e20), f(spec, -1.5e-7), f(spec, 3))
end
print(f("%f %g %e", math.huge, -math.huge, math.huge), f("%5.1f|%-8g|", math.huge, -math.huge), f("%G %E", math.huge, -math.huge))
print(f("%.20f", 0.1), f("%.99f", 1 / 3):len(), f("%5.3f", 2 / 3), f("%.3f", 2.0005), f("%.1f", 0.25), f("%.1f", 0.35))
print(f("%99d", 1):len(), f("%-99d|", 1):len())

for _, spec in ipairs { "%s", "%10s", "%-10s|", "%.2s", "%10.2s", "%-10.2s|", "%.0s|", "%.20s" } do
  print(spec, f(spec, "hello"), f(spec, ""), f(spec, 12), f(spec, nil), f(spec, true), f(spec, 1.5))
end
print(f("%s %s", 1, 2), f("%s", setmetatable({}, { __tostring = function() return "custom" end })), f("100%%"))
print(f("%c%c%c", 72, 105, 33), f("%5c|%-5c|", 65, 66), #f("%c", 0), f("%s", "a\0b") == "a\0b", #f("%s", "a\0b"))
print(f("no directives"), f(""), f("%s", ("x"):rep(200)):len(), f("%-5s%5s|", "ab", "cd"))
print(f("%s|%d|%5.1f|%x|%q|%c|%%", "s", 1, 2.25, 255, "q", 65))

-- %q writes strings that read back as the same value.
print(f("%q", "plain"), f("%q", 'say "hi"'), f("%q", "back\\slash"), f("%q", "tab\there"))
print(f("%q", "line\nbreak"))
print(f("%q", "\0\1\0012\r\127\200"):byte(1, -1))
print(f("%q %q %q %q", 1, -7, true, nil), f("%q", math.mininteger), f("%q", 0x7fffffffffffffff))
print(f("%q", 1.0), f("%q", 0.5), f("%q", 1 / 0), f("%q", -1 / 0), f("%q", 0 / 0))
for _, v in ipairs { "a\nb", "\0", "\r\n", "\0009", "q\"q", "\\n", 10, 1.25, -0.1, false, "é" } do
  if load("return " .. f("%q", v))() ~= v then print("not read back:", v) end
end

-- %a: hexadecimal floats.
print(f("%a", 1), f("%a", 0.5), f("%A", 10), f("%a", 0), f("%.2a", 1 / 3))

-- %i and %d need integers; %s takes everything; lists of arguments may be longer.
print(f("%d", "0x10"), f("%s %s", 1, 2, 3), f("%5s|%5s", true, false))

try(function() return string.format("%d", 1.5) end)
try(function() return string.format("%d", "1.5") end)
try(function() return string.format("%d", "x") end)
try(function() return string.format("%d", {}) end)
try(function() return string.format("%d") end)
try(function() return string.format("%s") end)
try(function() return string.format("%s %s", 1) end)
try(function() return string.format("%c", "x") end)
try(function() return string.format("%f", "x") end)
try(function() return string.format("%x", 2 ^ 63) end)
try(function() return string.format("%q", {}) end)
try(function() return string.format("%q", print) end)
try(function() return string.format("%5q", "x") end)
try(function() return string.format("%y", 1) end)
try(function() return string.format("%") end)
try(function() return string.format("%10") end)
try(function() return string.format("%123d", 1) end)
try(function() return string.format("%.123d", 1) end)
try(function() return string.format("%#d", 1) end)
try(function() return string.format("%0s", "x") end)
try(function() return string.format("%+s", "x") end)
try(function() return string.format("%.3c", 65) end)
try(function() return string.format("%-+ #0d", 1) end)
try(function() return string.format() end)
try(function() return string.format({}) end)
