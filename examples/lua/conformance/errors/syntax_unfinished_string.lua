-- Syntax error: a string that is not closed on its line.
local s = "open
print(s)
