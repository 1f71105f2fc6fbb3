-- Syntax error: an expression that is no statement.
local x = 1
x
print(x)
