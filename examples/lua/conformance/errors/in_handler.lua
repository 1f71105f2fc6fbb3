-- xpcall handles its own errors; the next one is not protected.
xpcall(function() error("handled") end, function(m) return m end)
local missing
missing()
