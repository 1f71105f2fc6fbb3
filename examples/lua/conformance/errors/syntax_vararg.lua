-- Compile-time error: ... in a function that has no varargs.
local function f(a) return ... end
print(f(1))
