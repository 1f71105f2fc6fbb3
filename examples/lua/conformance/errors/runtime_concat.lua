-- Concatenation with a table.
local t = {}
local s = "prefix " .. t
print(s)
