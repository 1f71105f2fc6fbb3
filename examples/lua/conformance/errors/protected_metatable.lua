-- setmetatable of an object with a protected metatable.
local t = setmetatable({}, { __metatable = "hidden" })
setmetatable(t, {})
