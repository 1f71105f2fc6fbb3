-- An uncaught error in nested calls: the message names the field and the line.
local config = {}
local function read() return config.database.host end
local function start() local host = read(); return host end
print(start())
