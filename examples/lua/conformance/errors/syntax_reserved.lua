-- Syntax error: a reserved word as a name.
local function = 1
