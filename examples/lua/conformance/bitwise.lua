-- Bitwise operators on integers and on floats with integer value; shifts of all
-- widths; precedence; errors.
print(5 & 3, 5 | 3, 5 ~ 3, ~5, ~0, ~-1, -1 & 0xff, -1 >> 60, 1 << 62, 1 << 63, 1 << 64, 1 << 65)
print(1 << -1, 4 >> -1, 2 >> 1, -1 >> 1, -1 >> 63, -1 >> 64, -1 << 64, 1 << math.mininteger, 1 >> math.mininteger, 1 << math.maxinteger)
print(5.0 & 3, 5 | 2.0, ~0.0, 1.0 << 4, 256 >> 4.0, 2 ^ 3 ~ 1)
print(0xF0 | 0x0F & 0x3C ~ 0xFF, 1 << 2 + 1, 1 << 2 & 7, 6 ~ 3 & 1 | 8, ~1 + 1, -~5, ~-5, - ~ - 5)
print(1 | 2 == 3, (1 | 2) == 3, 3 & 1 == 1 and "yes" or "no")

for i = 0, 64, 8 do
  io.write(string.format("%x %x %x; ", 0x123456789abcdef << i, 0x123456789abcdef >> i, -1 >> i))
end
print()

-- Population count and reversal by loops.
local function popcount(v)
  local c = 0
  while v ~= 0 do v = v & (v - 1); c = c + 1 end
  return c
end
print(popcount(-1), popcount(0), popcount(0x5555555555555555), popcount(math.mininteger))

local function reverse(v)
  local r = 0
  for _ = 1, 64 do r = r << 1 | v & 1; v = v >> 1 end
  return r
end
print(reverse(1), reverse(-1), reverse(0x0123456789abcdef), reverse(reverse(12345)))

-- xor shift generator.
local s = 88172645463325252
for _ = 1, 100 do s = s ~ s << 13; s = s ~ s >> 7; s = s ~ s << 17 end
print(s)

local function try(f) print(select(2, pcall(f))) end
local one, t, u = 1, {}, nil
try(function() return (one + 0.5) & 1 end)
try(function() return 1 | (one / 2) end)
try(function() return ~(one / 4) end)
try(function() return 1 << (one * 0.1) end)
try(function() return 1 ~ t end)
try(function() return t.field | 1 end)
try(function() return u >> 1 end)
try(function() return ~u end)
try(function() return 10.0 ^ (one * 99) | 0 end)
try(function() return -math.huge * one & 1 end)
try(function() return 0 / 0 | 0 end)
try(function() return true & true end)
