-- A read-only proxy.
local frozen = setmetatable({}, { __index = { x = 1 }, __newindex = function(_, k) error("cannot set field " .. k, 2) end })
print(frozen.x)
frozen.y = 2
