-- Arithmetic on a missing local variable.
local function add(a, b)
  return a + b
end
local sum = add(1)
print(sum)
