-- len, sub, upper, lower, reverse, rep, byte, char, comparison, length operator, and
-- methods on string values.
local function q(...)
  local parts = table.pack(...)
  for i = 1, parts.n do parts[i] = type(parts[i]) == "string" and string.format("%q", parts[i]) or tostring(parts[i]) end
  print(table.concat(parts, " "))
end
local function try(f) print(select(2, pcall(f))) end

local s = "hello"
q(s:sub(2), s:sub(2, 3), s:sub(-3), s:sub(-3, -2), s:sub(0), s:sub(10), s:sub(-10), s:sub(3, 2), s:sub(2, -2), s:sub(-100, 100))
q(s:sub(math.mininteger, math.maxinteger), s:sub(math.maxinteger), s:sub(1, math.mininteger), s:sub(5, 5), s:sub(6, 6), s:sub(0, 0))
q(#s, #"", #"a\0b", ("x"):len(), ("\u{20AC}"):len(), ("é"):upper() == "é")
q(s:upper(), ("HeLLo 1"):lower(), ("ÀB"):lower() == "Àb", s:reverse(), (""):reverse(), ("a\0b"):reverse())
q(s:rep(3), s:rep(0), s:rep(-1), s:rep(2, ","), s:rep(1, ","), (""):rep(100), ("ab"):rep(3, "-"), (""):rep(3, "x"))
q(s:byte(), s:byte(2), s:byte(-1), s:byte(10), s:byte(1, -1))
q(s:byte(2, 4)); q(s:byte(0)); q(s:byte(3, 2)); q(("\255\0\1"):byte(1, -1))
q(string.char(), string.char(72, 105), string.char(0, 127, 10), #string.char(0, 255, 10))
q(("x"):rep(5):upper():lower() .. ("y"):rep(2), ("%d"):format(7), ("a,b"):find(",", 1, true), #("abc"):sub(2))
q("a" < "b", "a" < "B", "abc" < "abd", "abc" < "abcd", "" < "a", "a\0" < "a\0a", "\xff" > "a")
q("abc" == "ab" .. "c", ("a"):rep(50) == ("a"):rep(25) .. ("a"):rep(25), "a" == "A")

-- A string indexes the string table; unknown fields are nil.
q(s.upper == string.upper, s.nothing, ("x").len("four"), #s.rep("ab", 2))
q(getmetatable("").__index == string, getmetatable("") == getmetatable("other"))

-- Building a string from every byte and taking it apart.
local all = {}
for i = 0, 255 do all[i + 1] = string.char(i) end
local joined = table.concat(all)
local sum = 0
for i = 1, #joined do sum = sum + joined:byte(i) * i end
q(#joined, sum, joined:sub(66, 70), joined:reverse():byte(1), joined:upper():sub(98, 100), joined:lower():sub(66, 68))

-- Lengths of concatenations.
local parts = {}
for i = 1, 300 do parts[i] = ("ab"):rep(i % 5) .. i end
q(#table.concat(parts), #table.concat(parts, "--"), #(parts[1] .. parts[2] .. parts[3] .. 4 .. 5.5))

try(function() return string.rep() end)
try(function() return string.rep("x") end)
try(function() return string.rep({}, 2) end)
try(function() return string.rep("x", 1 << 60) end)
try(function() return string.sub() end)
try(function() return string.sub("x", {}) end)
try(function() return string.sub("x", 1.5) end)
try(function() return string.sub("x", "a") end)
try(function() return string.char(256) end)
try(function() return string.char(-1) end)
try(function() return string.char(65, "x") end)
try(function() return string.byte(nil) end)
try(function() return string.upper() end)
try(function() return string.len(nil) end)
try(function() return ("x"):nothing() end)
try(function() return ("x"):rep({}) end)
try(function() return #5 end)
try(function() local t; return #t end)
