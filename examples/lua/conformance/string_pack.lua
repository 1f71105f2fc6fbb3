-- string.pack, string.unpack, string.packsize.
local function hex(s) return (s:gsub(".", function(c) return string.format("%02x", c:byte()) end)) end
local function try(f) print(select(2, pcall(f))) end

for _, fmt in ipairs { "b", "B", "<h", ">h", "<H", ">H", "<i", ">i4", "<i3", ">i3", "<I4", "<i8", ">i8", "<j", ">J", "<l", "<T", "<i16", ">i16" } do
  local s = string.pack(fmt, 100)
  print(fmt, hex(s), string.unpack(fmt, s), string.packsize(fmt))
end
for _, fmt in ipairs { "b", "<h", ">i4", "<i3", "<i8", ">i16", "<i7", ">i5" } do
  local s = string.pack(fmt, -2)
  print(fmt, hex(s), string.unpack(fmt, s))
end
for _, v in ipairs { 0.0, 1.0, -1.5, 0.1, math.huge } do
  print(v, hex(string.pack("<f", v)), hex(string.pack(">d", v)), hex(string.pack("<n", v)), (string.unpack(">d", string.pack(">d", v))))
end
print(hex(string.pack("<s", "abc")), hex(string.pack(">s1", "abc")), hex(string.pack(">s2", "")), hex(string.pack("z", "abc")))
print(string.unpack("z", "abc\0rest"), string.unpack(">s1", "\3abcd"), string.unpack("<s2", "\2\0xyz"))
print(hex(string.pack("c5", "abc")), hex(string.pack("c0", "")), (string.unpack("c3", "abcdef")))
print(hex(string.pack("<!4 b i4", 1, 2)), hex(string.pack("<!4 b Xi4 b", 1, 2)), hex(string.pack("<b x b", 1, 2)), hex(string.pack("<!2 b i8", 1, 2)))
print(hex(string.pack(">i2 <i2 =b", 1, 1, 1)), string.packsize("<!8 b d b i2"), string.packsize("!4 i1 i4"), string.packsize("c10 b"))
print(string.unpack("<i2 i2 i2", string.pack("<i2 i2 i2", 1, -2, 3)))
print(string.unpack("<B", "abc", 2), string.unpack("<B", "abc", -1), string.unpack("<i4", "\1\0\0\0\2\0\0\0", 5))
print(string.unpack("<I8", ("\255"):rep(8)), string.unpack("<j", ("\255"):rep(8)), string.unpack("<I2", "\255\255"))
print(string.unpack("", "abc"), string.unpack("", ""), #string.pack(""))
print(string.unpack("<i16", ("\255"):rep(16)), string.unpack("<I3", "\1\2\3"))
print(hex(string.pack("<i8", math.mininteger)), hex(string.pack("<I8", -1)), hex(string.pack(" < i1 > i2 ", 1, 2)))

local record = string.pack("<i4 z s1 d B", -7, "name", "tag", 2.5, 200)
print(#record, string.unpack("<i4 z s1 d B", record))

try(function() return string.pack("b", 128) end)
try(function() return string.pack("b", -129) end)
try(function() return string.pack("B", 256) end)
try(function() return string.pack("i2", 32768) end)
try(function() return string.pack("i17", 1) end)
try(function() return string.pack("i0", 1) end)
try(function() return string.pack("y", 1) end)
try(function() return string.pack("z", "a\0b") end)
try(function() return string.pack("c2", "abc") end)
try(function() return string.pack("s1", ("x"):rep(256)) end)
try(function() return string.pack("i4", "x") end)
try(function() return string.pack("i4") end)
try(function() return string.pack("i4", 1.5) end)
try(function() return string.pack("!3 i4", 1) end)
try(function() return string.pack("!17 i4", 1) end)
try(function() return string.pack("X", 1) end)
try(function() return string.pack("Xz", 1) end)
try(function() return string.pack("c", "x") end)
try(function() return string.unpack("i4", "abc") end)
try(function() return string.unpack("z", "abc") end)
try(function() return string.unpack("s1", "\5abc") end)
try(function() return string.unpack("c5", "abc") end)
try(function() return string.unpack("b", "abc", 5) end)
try(function() return string.unpack("b", "abc", -5) end)
try(function() return string.unpack("<i16", ("\1"):rep(16)) end)
try(function() return string.packsize("s") end)
try(function() return string.packsize("z") end)
