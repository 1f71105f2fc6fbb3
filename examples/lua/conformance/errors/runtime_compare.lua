-- Comparison of different types.
local limit = "10"
if 5 < limit then print("never") end
