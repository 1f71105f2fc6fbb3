-- A float without integer representation as bitwise operand.
local half = 1 / 2
print((half + 0) | 1)
