-- Syntax error: a malformed numeral.
local n = 3x7
