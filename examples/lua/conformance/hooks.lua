-- debug.sethook: calls, returns, lines, counts.
local function f(a, b)
  local c = a + b
  return c, b
end

local events = {}
local function log(mask, count)
  debug.sethook(function(event, line)
    local info = debug.getinfo(2, "nSl")
    local text = event .. " " .. tostring(line) .. " " .. tostring(info.name) .. " " .. info.what
    events[#events + 1] = text
  end, mask, count)
end

local function show(title)
  debug.sethook()
  print(title)
  for _, text in ipairs(events) do print("  " .. text) end
  events = {}
end

log("crl")
f(1, 2)
math.sin(1)
pcall(f, 1, 2)
show("calls, returns and lines")

log("cr")
local function tail(n) if n > 0 then return tail(n - 1) end return math.abs(n) end
tail(2)
show("tail calls")

log("l")
for i = 1, 2 do
  local x = i
end
local n = 0
while n < 2 do
  n = n + 1
end
repeat
  n = n - 1
until n == 0
if n then n = 1 else n = 2 end
show("loops")

log("cr")
local co = coroutine.wrap(function(a)
  local b = coroutine.yield(a)
  return b
end)
co(1)
co(2)
show("a coroutine has no hook of its own here")

log("cr")
local sum = 0
table.sort({ 3, 1, 2 }, function(a, b) return a < b end)
setmetatable({}, { __index = function() return 1 end }).x = nil
local _ = ({ __index = 1 }).x
show("callbacks")

-- Values on their way.
local seen = {}
debug.sethook(function(event)
  local info = debug.getinfo(2, "rS")
  local values = {}
  for i = info.ftransfer, info.ftransfer + info.ntransfer - 1 do
    local _, value = debug.getlocal(2, i)
    values[#values + 1] = tostring(value)
  end
  seen[#seen + 1] = event .. " " .. info.what .. ": " .. table.concat(values, " ")
end, "cr")
f(10, 20)
select(2, "a", "b", "c")
debug.sethook()
for _, text in ipairs(seen) do print(text) end

-- Counts.
local counted = 0
debug.sethook(function() counted = counted + 1 end, "", 1000)
for _ = 1, 10000 do end
debug.sethook()
print(counted > 5, counted < 30)

-- Errors of hooks are those of the code that runs.
print(pcall(function()
  debug.sethook(function() debug.sethook() error("from the hook", 0) end, "l")
  local x = 1
  local y = 2
end))
print(xpcall(function()
  debug.sethook(function() debug.sethook() error("from the hook") end, "c")
  f(1, 2)
end, function(message) return "handled: " .. message end))

-- A hook changes variables, and hooks.
do
  local value = 1
  debug.sethook(function(event, line)
    debug.sethook()
    local i = 1
    while true do
      local name = debug.getlocal(2, i)
      if not name then break end
      if name == "value" then debug.setlocal(2, i, "changed") end
      i = i + 1
    end
  end, "l")
  local other = 2
  print(value)
end

print(debug.gethook())
debug.sethook(print, "rc", 7)
local hook, mask, count = debug.gethook()
debug.sethook()
print(hook == print, mask, count)
debug.sethook(print, "")
print(debug.gethook())
print(pcall(debug.sethook, print), pcall(debug.sethook, 1, "c"))

-- Hooks of other threads.
local thread = coroutine.create(function() local a = 1 coroutine.yield() local b = 2 end)
local lines = 0
debug.sethook(thread, function() lines = lines + 1 end, "l")
coroutine.resume(thread)
print(lines, debug.gethook(thread) ~= nil, debug.gethook())
coroutine.resume(thread)
print(lines, coroutine.status(thread))
print(pcall(coroutine.wrap(function()
  debug.sethook(function() coroutine.yield() end, "l")
  local x = 1
end)))

-- A coroutine inherits the events of its creator's hook, but not the function.
local calls = 0
local function count_calls() calls = calls + 1 end
debug.sethook(count_calls, "crl", 7)
thread = coroutine.create(function() local x = 1 coroutine.yield(x) return debug.gethook() end)
local inside = coroutine.wrap(function() return debug.gethook() end)
print(debug.gethook(thread))
print(inside())
debug.sethook()
print(debug.gethook(thread))
local before = calls
print(coroutine.resume(thread))
print(coroutine.resume(thread))
print(calls - before, debug.gethook(coroutine.create(print)))
local inner
debug.sethook(count_calls, "l")
local outer = coroutine.create(function() inner = coroutine.create(function() return 1 end) end)
debug.sethook()
coroutine.resume(outer)
print(debug.gethook(inner))
debug.sethook(outer)
print(debug.gethook(outer))
print(debug.gethook(inner))
before = calls
debug.sethook(inner, count_calls, "crl")
print(debug.gethook(inner) == count_calls, coroutine.resume(inner))
print(calls - before)
