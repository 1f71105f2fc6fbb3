-- nil as a table key.
local t, key = {}, nil
t[key] = 1
