-- Syntax error: a long comment without end.
print(1)
--[[ never closed
print(2)
