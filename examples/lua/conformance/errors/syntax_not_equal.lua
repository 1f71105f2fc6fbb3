-- Syntax error: the inequality operator of other languages.
if 1 != 2 then print("x") end
