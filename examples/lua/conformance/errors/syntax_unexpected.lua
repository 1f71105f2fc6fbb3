-- Syntax error: an operator without operand.
print("never printed")
local x = 1 + * 2
