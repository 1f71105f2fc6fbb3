-- A table with __tostring as error value: its text is the whole message.
error(setmetatable({ code = 7 }, { __tostring = function(e) return "custom error " .. e.code end }))
