-- Errors that arise inside library functions, not in the check of their arguments:
-- such messages carry no position, because no Lua code is running at that level.
local function try(f, ...) print(select(2, pcall(f, ...))) end

try(function() table.unpack() end)
try(function() table.sort({ 1, "x" }) end)
try(function() table.sort({ 1, {}, 3 }) end)
try(function() table.sort({ true, false }) end)
try(function() next({}, "nokey") end)
try(function() for _ in ipairs(nil) do end end)
try(rawset, {}, nil, 1)
try(rawset, {}, 0 / 0, 1)
try(function() ("x"):rep(5, {}) end)

-- Called by pcall directly, a library function has no caller with a position, and is
-- named by its place in the library.
try(string.rep)
try(table.insert, nil, 1)
try(math.floor, "x")
try(setmetatable, 1)
try(ipairs)
try(error)
try(error, "with level 1 from pcall")
try(error, "level 2", 2)

-- Named after the variable that holds it.
local f = string.rep
try(function() f() end)
local t = { g = string.rep }
try(function() t.g() end)
try(function() t:g() end)
try(function() ("x"):rep() end)
try(function() ("x").rep() end)
