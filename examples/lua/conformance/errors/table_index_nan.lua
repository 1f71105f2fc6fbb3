-- NaN as a table key.
local t = {}
t[0 / 0] = 1
