-- Syntax error: a table constructor that is not closed.
local t = {
  1, 2,
  x = 3
local y = 4
