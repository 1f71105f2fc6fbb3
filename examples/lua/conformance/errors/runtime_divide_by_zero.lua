-- Integer division by zero.
local function ratio(a, b) return a // b end
local r = ratio(1, 0)
print(r)
