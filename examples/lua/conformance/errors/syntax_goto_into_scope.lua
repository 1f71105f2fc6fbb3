-- Compile-time error: goto into the scope of a local variable.
goto target
local x = 1
::target::
print(x)
