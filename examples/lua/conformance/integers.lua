-- Integer arithmetic: wrap-around, division and modulo in all sign combinations,
-- literals, and the borders of the 64-bit range.
local max, min = math.maxinteger, math.mininteger

print(max, min, max + 1 == min, min - 1 == max, -min == min)
print(max * 2, min * 2, max * max, min * min, min * -1)
print(max // -1, min // -1, min % -1, max % -1)
print(min // 1, min // 2, min // max, max // min, min % max, max % min)

for _, a in ipairs { 7, -7, 0, 1, -1, 6 } do
  for _, b in ipairs { 3, -3, 1, -1, 2, -2, 7 } do
    io.write(string.format("%d//%d=%d %d%%%d=%d; ", a, b, a // b, a, b, a % b))
  end
  print()
end

-- Division and powers always give floats.
print(6 / 2, 7 / 2, 2 ^ 2, 1 / 3, -6 / 2, 10 / 5)
print(math.type(6 / 2), math.type(2 ^ 2), math.type(6 // 2), math.type(6 // 2.0), math.type(6 % 4.0))

-- Literals.
print(0x10, 0xff, 0XA, 0xffffffffffffffff, 0x7fffffffffffffff, 0x8000000000000000)
print(9223372036854775807, 9223372036854775808, -9223372036854775808)
print(math.type(9223372036854775807), math.type(9223372036854775808))
print(0x1ffffffffffffffff, 0x123456789abcdef01)
print(100000000000000, 1e14, 10 // 1, 3 | 0)

-- Unary minus and precedence.
print(-2 ^ 2, (-2) ^ 2, 2 ^ -1, 2 ^ 3 ^ 2, -3 % 5, -(3 % 5), - - 3, not nil == true)
print(1 + 2 * 3 - 4 // 3 % 2, (1 + 2) * 3, 7 - 3 - 2, 2 * 3 % 4, 5 // 2 * 2)

-- Conversions at the border.
print(math.tointeger(2 ^ 53), math.tointeger(-2 ^ 63), math.tointeger(2 ^ 63), math.tointeger(3.5))
print(2 ^ 53 | 0, -2 ^ 63 | 0, 1e15 | 0)
print(max + 0.0, min + 0.0, max + 0.0 == 2 ^ 63, min + 0.0 == -2 ^ 63)
print(max + 1.0, max // 1.0, max % 2.0, min // 1.0)

-- Constant folding must agree with run-time arithmetic.
local a, b = 7, -2
print(a // b == 7 // -2, a % b == 7 % -2, a / b == 7 / -2, a ^ b == 7 ^ -2, a - b == 7 - -2)
a, b = max, 1
print(a + b == 9223372036854775807 + 1, a * 2 == 9223372036854775807 * 2)

-- A hash over many operations, all wrapping.
local h = 1
for i = 1, 2000 do
  h = h * 6364136223846793005 + 1442695040888963407
  h = h ~ (h >> 29)
  if i % 3 == 0 then h = h // 3 elseif i % 7 == 0 then h = h % 1000000007 - h end
end
print(h)
