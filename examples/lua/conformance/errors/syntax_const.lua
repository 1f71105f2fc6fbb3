-- Compile-time error: assignment to a constant.
local limit <const> = 10
limit = 20
