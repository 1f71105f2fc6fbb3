-- The levels that debug.traceback shows, where it cuts a long one, and what it says about coroutines.
local function f(n, level)
  if n == 0 then return debug.traceback("m", level) end
  return (f(n - 1, level))
end
for _, level in ipairs { 0, 1, 2, 3, -1, -5, 50, 1 << 32, math.maxinteger, math.mininteger } do
  print(level, f(0, level))
end
for n = 16, 22 do
  print(n, f(n, 0))
  print(n, f(n, 1))
  print(n, f(n, 5))
  print(n, f(n, n + 1))
end

-- In a coroutine there is no program around the script.
coroutine.wrap(function()
  for n = 18, 22 do print(n, f(n, 0)) end
end)()

-- Messages.
print(debug.traceback(nil))
print(debug.traceback("x", nil))
print(debug.traceback("x", 1.0))
print(debug.traceback(12))
print(debug.traceback(print) == print)
print(pcall(debug.traceback, "x", "y"))

-- Who calls it.
print(pcall(debug.traceback, "from pcall", 0))
print(string.gsub("x", "x", function() return debug.traceback("callback", 0) end))
print(string.gsub("x", "x", debug.traceback))
print(select(2, xpcall(error, debug.traceback, "e")))
print(select(2, xpcall(function() local x = nil + 1 end, debug.traceback)))
local t = setmetatable({}, {
  __index = function(_, key) return debug.traceback(key, 0) end,
  __add = function() return debug.traceback("sum", 0) end,
})
print(t.field)
print(t + 1)
for text in (function(_, last) if not last then return debug.traceback("iterator", 0) end end) do
  print(text)
end
table.sort({ 1, 2 }, function(a, b) print(debug.traceback("order", 0)) return a < b end)
print((function() return debug.traceback("tail") end)())

-- Suspended, dead and finished coroutines.
local suspended = coroutine.create(function(n)
  local function g(n) if n == 0 then return coroutine.yield() end g(n - 1) end
  g(n)
end)
print(debug.traceback(suspended))
coroutine.resume(suspended, 25)
for _, level in ipairs { 0, 1, 2, -1, 5, 6, 7, 26, 27, 28, 50 } do
  print(level, debug.traceback(suspended, "c", level))
end
local function fails(body)
  local co = coroutine.create(body)
  print(coroutine.resume(co))
  print(coroutine.status(co), debug.traceback(co))
  print(debug.traceback(co, "level 1", 1))
  print(coroutine.close(co))
  print(debug.traceback(co), coroutine.close(co))
end
fails(function() local function inner() error("x") end inner() end)
fails(function() pcall(error) string.rep() end)
fails(function() local x = nil + 1 end)
fails(function() table.sort({ 3, 2, 1 }, function() error("in a callback") end) end)
fails(function()
  string.gsub("x", ".", function() table.sort({ 1, 2 }, function() return nil < 1 end) end)
end)
fails(function() error("tail") end)
fails(function() return error("tail") end)
fails(function() coroutine.wrap(function() error("passed on") end)() end)
fails(function() load(function() error("caught") end) error("later") end)
fails(function() pcall(table.sort, { 1, 2 }, function() error("caught") end) error("later") end)
fails(function() pcall(string.gsub, "x", ".", function() error("caught") end) return nil .. "x" end)
-- Upvalues of a coroutine that died.
local get, add
local co = coroutine.create(function()
  local n = 1
  get, add = function() return n end, function() n = n + 1 end
  error("dead")
end)
print(coroutine.resume(co))
add() add()
print(get(), coroutine.close(co), get())
add()
print(get())
