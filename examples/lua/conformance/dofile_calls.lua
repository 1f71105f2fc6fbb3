-- What `dofile` calls: it may yield, fail, and return any number of values.
local name = os.tmpname()
local function write(text)
  local file = assert(io.open(name, "w"))
  file:write(text)
  file:close()
end
local function shown(text) return (tostring(text):gsub(name:gsub("%W", "%%%0"), "NAME")) end

write "return 1, nil, 3, nil"
print(dofile(name))
print(select("#", dofile(name)), (dofile(name)))
write "return ..."
print(select("#", dofile(name)))
print((function(...) return dofile(...) end)(name))

write "local x = coroutine.yield('first', ...) local y <close> = setmetatable({}, {__close = function() coroutine.yield 'closing' end}) return x, coroutine.yield('second')"
local co = coroutine.create(function(...) return "results", dofile(...) end)
print(coroutine.resume(co, name))
print(coroutine.resume(co, "x"))
print(coroutine.resume(co, "y"))
print(coroutine.resume(co))
print(coroutine.status(co))

write "\nerror 'failed'"
print(shown(select(2, pcall(dofile, name))))
print(shown(select(2, xpcall(dofile, debug.traceback, name))))
write "x ="
print(shown(select(2, pcall(dofile, name))))
print(pcall(dofile, "/no/such/file"))
print(pcall(dofile, {}))
write "depth = (depth or 0) + 1 if depth < 100 then return dofile(...) end return 'deep', depth"
local real = dofile
function dofile() return real(name) end
print(real(name))
depth = nil
write("depth = (depth or 0) + 1 local r = dofile() return r")
print((shown(select(2, pcall(real, name))):gsub(".*(C stack overflow).*", "%1")), depth)
os.remove(name)
