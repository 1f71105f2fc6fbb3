-- A strict environment raises an error of its own for undefined names.
setmetatable(_G, { __index = function(_, name) error("undefined variable '" .. name .. "'", 2) end })
local x = 1
print(x, undefined_name)
