-- Finalizers (manual, 2.5.3).
local log = {}
local function say(text) log[#log + 1] = text end
local function show() print(table.concat(log, " ")) log = {} end
local function finalized(name, more)
  return setmetatable({ name = name, more = more }, { __gc = function(o) say(o.name) end })
end

-- The newest first; each once; cycles too.
do
  local a = finalized("a")
  local b = finalized("b", a)
  a.more = b
  finalized("c")
end
collectgarbage()
show()
collectgarbage()
show()

-- Marked when the metatable is set, with the finalizer of the time when it is called.
local late = {}
do
  setmetatable({ name = "unmarked" }, late)
end
late.__gc = function(o) say("late " .. o.name) end
do setmetatable({ name = "marked" }, late) end
collectgarbage()
show()
local placeholder = { __gc = true }
local kept = setmetatable({}, placeholder)
placeholder.__gc = function() say("replaced") end
kept = nil
collectgarbage()
show()
local removed = { __gc = function() say("never") end }
local without = setmetatable({}, removed)
removed.__gc, without = nil
collectgarbage()
show()

-- Resurrection, and marking once more.
local saved
do
  setmetatable({ name = "phoenix" }, { __gc = function(o) say(o.name) saved = o end })
end
collectgarbage()
show()
print(saved.name)
saved = nil
collectgarbage()
show()
local times = 0
local mt = {}
mt.__gc = function(o) times = times + 1 if times < 3 then setmetatable(o, mt) end end
do setmetatable({}, mt) end
for _ = 1, 5 do collectgarbage() end
print(times)
do local twice = setmetatable({}, mt) setmetatable(twice, mt) times = 2 end
collectgarbage()
print(times)

-- Weak tables: values are removed before finalizers run, keys after.
local values, by_key = setmetatable({}, { __mode = "v" }), setmetatable({}, { __mode = "k" })
do
  local o = setmetatable({}, { __gc = function(o)
    say(tostring(values.o)) say(tostring(by_key[o]))
  end })
  values.o, by_key[o] = o, "resurrected key"
end
collectgarbage()
show()
collectgarbage()
print(next(values), next(by_key))

-- Errors do not reach the script, also from where handlers watch.
do
  setmetatable({}, { __gc = function() error("lost") end })
  setmetatable({}, { __gc = function() error({}) end })
  setmetatable({}, { __gc = 12 })
  finalized("after errors")
end
print(xpcall(function() collectgarbage() return "fine" end, function() return "handler" end))
show()

-- Inside a finalizer: coroutines run, yields across it fail, the collector keeps still.
do
  setmetatable({}, { __gc = function()
    say(tostring(pcall(coroutine.yield)))
    say(coroutine.wrap(function() coroutine.yield("from a coroutine") end)())
    say(tostring(collectgarbage())) say(tostring(collectgarbage("count"))) say(tostring(collectgarbage("step")))
    finalized("made by a finalizer")
  end })
end
collectgarbage()
collectgarbage()
show()
local co = coroutine.wrap(function()
  do setmetatable({}, { __gc = function() say(tostring(coroutine.isyieldable())) end }) end
  collectgarbage()
  coroutine.yield(1)
  error("end")
end)
print(co(), pcall(co))
show()

-- Lists of values and pending results survive finalizers that come between instructions.
local function noise()
  for i = 1, 20 do setmetatable({}, { __gc = function(...) return ... end }) end
  collectgarbage()
  return 1, 2, 3
end
print(noise(), noise())
print((select("#", noise(), noise(), table.unpack({ noise() }))))
local text = ""
for i = 1, 3 do text = text .. setmetatable({}, { __gc = noise, __concat = function(a) collectgarbage() return a .. i end }) end
print(text)

-- What a finalizer sees of itself.
do setmetatable({}, { __gc = function() local info = debug.getinfo(1, "n") say(info.namewhat .. " " .. info.name) end }) end
collectgarbage()
show()

-- Files.
local name = os.tmpname()
do
  local file = io.open(name, "w")
  file:write("written, never closed")
end
collectgarbage()
for line in io.lines(name) do print(line) end
os.remove(name)

-- Without being asked, too.
local done = false
do setmetatable({}, { __gc = function() done = true end }) end
repeat local garbage = { {} } until done
print(done)

-- At the end, the newest first; what these create is not finalized.
keep1 = setmetatable({}, { __gc = function() print("first made, last finalized") end })
keep2 = setmetatable({}, { __gc = function()
  print("second")
  setmetatable({}, { __gc = function() print("never") end })
  print(collectgarbage("count"))
  error("ignored")
end })
keep3 = setmetatable({}, { __gc = function() print("last made, first finalized") end })
