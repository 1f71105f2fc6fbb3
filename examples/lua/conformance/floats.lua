-- Floats: special values, division and modulo in all sign combinations, and how
-- they are written.
local inf, nan = math.huge, 0 / 0

print(inf, -inf, inf - 1 == inf, -inf < inf, inf == inf, nan == nan, nan ~= nan, nan < nan, nan >= nan)
print(1 / 0, -1 / 0, 1 / -0.0, 0.0 == -0.0, 1 / (0.0 * -1))
print(-0.0, 0.0, 0.0 + -0.0, -0.0 + -0.0)
print(5 // 0.0, -5 // 0.0, 0 / 0 ~= 0 / 0, 5.0 % inf, -5.0 % inf, 5.0 % -inf, -5.0 % -inf)
print((5 % 0.0) ~= (5 % 0.0), (0 // 0.0) ~= (0 // 0.0))

for _, a in ipairs { 7.5, -7.5, 0.0, 5.25, -0.5 } do
  for _, b in ipairs { 2.0, -2.0, 0.5, -0.5, 3, -3 } do
    io.write(string.format("%.2f//%.2f=%.2f %%=%.2f; ", a, b, a // b, a % b))
  end
  print()
end

-- How floats are written: %.14g, with ".0" where it would look like an integer.
print(1.0, -1.0, 0.1, 1e15, 1e16, 1e100, 123456789012345.0, 1234567890123456.0)
print(3.14159265358979, 1 / 3, 2 / 3, 100 / 3, 1e-5, 1e-4, 0.1 + 0.2, 1e14, 1e13 + 0.5)
print(2 ^ 53, 2 ^ 63, 2 ^ 64, -2 ^ 63, 1e308 * 10, -1e308 * 10, 5e-324, 2.2250738585072014e-308)
print(1e300 * 1e10, 123.456e2, .5, 5., 3e2, 3E-2, 0x.8, 0x1p4, 0xA.8p0, 0x1P-2, 0x.1p4)
print(99999999999999.0, 999999999999999.0, 1e99, 12345678.9)

-- Arithmetic mixes.
print(1 + 1.0, 1 - 1.0, 2 * 3.0, 7 // 2.0, 7 % 2.5, -7 // 2.0, -7 % 2.5, 2 ^ 0.5)
print(1e15 + 0.5, 3.0 == 3, 3 | 0, 7.0 // 1 | 0, 2.0 ^ 3, 10 // 0.3, 10 % 0.3 < 0.3)
print(0.1 + 0.2 == 0.3, 0.5 + 0.25 == 0.75, 1e308 + 1e308 == inf)
print(math.type(1.0), math.type(1), math.type("1"), math.type(nil == nil))

-- Table keys: floats with integer value are normalised.
local t = {}
t[1.0] = "one"; t[2 ^ 53] = "big"; t[1.5] = "one and a half"
print(t[1], t[2 ^ 53 | 0], t[1.5], next({ [3.0] = true }), math.type(next({ [3.0] = true })))
print(pcall(function() t[nan] = 1 end))
print(t[nan])
