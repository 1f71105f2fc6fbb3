-- Syntax error: a character that is no token.
local x = 1 ! 2
