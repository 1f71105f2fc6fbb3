-- The functions that real Lua keeps for compatibility.
print(math.pow(2, 10), math.pow(2, 0.5), math.pow(-8, 1/3) ~= math.pow(-8, 1/3))
print(string.format("%.12g %.12g %.12g", math.cosh(1), math.sinh(-2), math.tanh(0.5)))
print(math.log10(1000), math.log10(0.001), math.log10(0))
for _, x in ipairs {0, -0.0, 1, -1, 0.5, 3, -10.25, 1e300, 2^-1022, 2^-1074, 3 * 2^-1074, math.pi, 1/0, -1/0, 2^53} do
  local m, e = math.frexp(x)
  print(m, e, math.ldexp(m, e) == x)
end
print(math.frexp(0/0) ~= math.frexp(0/0))
for _, e in ipairs {0, 1, -1, 1023, 1024, -1022, -1023, -1074, -1075, 5000, -5000, 2^31 - 1, -2^31} do
  print(e, math.ldexp(1, e), math.ldexp(-3, e), math.ldexp(2^-1074, e), math.ldexp(1.7e308, e))
end
-- One rounding, to even.
print(math.ldexp(3, -1075) == 2^-1073, math.ldexp(5, -1075) == 2^-1073, math.ldexp(1 + 2^-52, -1075) == 2^-1074)
print(math.ldexp(0x1.fffffffffffffp0, -1023) == 2^-1022, math.ldexp(0x1.8p0, -1075) == 2^-1074)
print(pcall(math.pow, 1))
print(pcall(math.ldexp, 1, 0.5))
print(pcall(math.frexp, {}))
