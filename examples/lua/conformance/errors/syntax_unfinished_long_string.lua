-- Syntax error: a long string without end.
local s = [==[ text ]=]
print(s)
