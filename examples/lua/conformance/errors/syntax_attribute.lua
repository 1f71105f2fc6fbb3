-- Compile-time error: an unknown attribute.
local x <final> = 1
