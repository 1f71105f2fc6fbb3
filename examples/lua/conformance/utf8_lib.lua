-- The utf8 library.
local function try(f) print(select(2, pcall(f))) end
local function hex(s) return (s:gsub(".", function(c) return string.format("%02x", c:byte()) end)) end

print(hex(utf8.char(72, 228, 8364, 128512)), hex(utf8.char()), hex(utf8.char(0, 127, 128, 2047, 2048, 65535, 65536, 0x10FFFF)), hex(utf8.char(0x7FFFFFFF)))
local s = "häß€😀x"
print(#s, utf8.len(s), utf8.len(""), utf8.len(s, 2), utf8.len(s, -1), utf8.len(s, 1, 3), utf8.len(s, 4, 3), utf8.len(s, #s + 1))
print(utf8.len("abc\xff"), utf8.len("\xe4"), utf8.len("ok\xc3"), utf8.len("\u{D7FF}"), utf8.len("\xed\xa0\x80"), utf8.len("\xed\xa0\x80", 1, -1, true), utf8.len("\xf4\x90\x80\x80"), utf8.len("\xc0\x80"))
print(utf8.codepoint(s)); print(utf8.codepoint(s, 1, -1)); print(utf8.codepoint("abc", 2)); print(utf8.codepoint("abc", 3, 2)); print(utf8.codepoint("abc", -1))
print(utf8.offset(s, 1), utf8.offset(s, 2), utf8.offset(s, 3), utf8.offset(s, 4), utf8.offset(s, 7), utf8.offset(s, 8), utf8.offset(s, -1), utf8.offset(s, -2), utf8.offset(s, -6), utf8.offset(s, -7))
print(utf8.offset(s, 0, 3), utf8.offset(s, 0, 2), utf8.offset(s, 2, 2), utf8.offset(s, -1, 4), utf8.offset("", 1), utf8.offset("", 0), utf8.offset("abc", 5))
for p, c in utf8.codes(s) do io.write(p, ":", c, " ") end
print()
for p, c in utf8.codes("") do print("never") end
local rebuilt, reversed = {}, {}
for _, c in utf8.codes(s) do rebuilt[#rebuilt + 1] = utf8.char(c); table.insert(reversed, 1, utf8.char(c)) end
print(table.concat(rebuilt) == s, table.concat(reversed))
local count = 0
for ch in s:gmatch(utf8.charpattern) do count = count + 1 end
print(count, hex(utf8.charpattern))
for i = 1, utf8.len(s) do
  local from = utf8.offset(s, i)
  local to = utf8.offset(s, i + 1) - 1
  io.write("[", s:sub(from, to), "]")
end
print()
for _, c in ipairs { 0, 1, 0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x10000, 0x10ffff } do
  local e = utf8.char(c)
  io.write(#e, " ", tostring(utf8.codepoint(e) == c), "; ")
end
print()
try(function() return utf8.codepoint("\xff") end)
try(function() return utf8.codepoint("abc", 1, 10) end)
try(function() return utf8.codepoint("abc", 0) end)
try(function() return utf8.codepoint("\u{110000}") end)
try(function() return utf8.char(-1) end)
try(function() return utf8.char("x") end)
try(function() return utf8.len("abc", 5) end)
try(function() return utf8.len("abc", 1, 4) end)
try(function() return utf8.offset("ä", 1, 2) end)
try(function() return utf8.offset("abc", 1, 9) end)
try(function() for _ in utf8.codes("ab\xff") do end end)
