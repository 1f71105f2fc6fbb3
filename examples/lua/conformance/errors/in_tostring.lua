-- An error raised while print converts a value.
print(setmetatable({}, { __tostring = function() error("no text") end }))
