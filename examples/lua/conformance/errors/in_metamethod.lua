-- An error inside a metamethod.
local v = setmetatable({}, { __add = function(a, b) return a.x.y + b end })
local function compute() local r = v + 1; return r end
compute()
