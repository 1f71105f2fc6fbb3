-- Message handlers of xpcall when the stack or the nesting of calls has overflowed, when they fail
-- themselves, and when they yield.
local function loop(x, y, z) return 1 + loop(x, y, z) end
print(xpcall(loop, loop))
local function protected() assert(pcall(protected)) end
print(xpcall(protected, protected))
print(xpcall(loop, function(m) return #m > 10 and "seen" end))
print(xpcall(string.rep, loop))
-- The memory of the overflow is there again.
for _ = 1, 3 do print(xpcall(loop, function(m) return (m:gsub("^.-:%d+: ", "")) end)) end
print(select(2, pcall(loop)):match("stack overflow"))

-- A handler sees its own errors, up to the limit of nested calls.
local function count(body, handler, ...)
  local n = 0
  local ok, message = xpcall(body, function(m) n = n + 1 return handler(m) end, ...)
  print(n, ok, message)
end
count(error, error, "again")
count(error, function() return nil + 1 end, "again")
count(error, function(m) if #m < 50 then error(m .. "+", 0) end return m end, "x")
count(error, function(m) local _, inner = pcall(error, "inner") return m .. inner end, "x")
local seen = {}
count(error, function(m) seen[m] = true error("E", 0) end, "x")
print(seen.x, seen.E, seen["C stack overflow"])
local n = 0
print((xpcall(loop, function(m) n = n + 1 error(m) end)), n > 1)
print(xpcall(error, function(m) return loop() end, "x"))
print(xpcall(function()
  print(xpcall(loop, loop))
  error("outer")
end, function(m) return "handled " .. m end))
print(xpcall(error, function() print(xpcall(error, function() return "nested" end)) return 1 end))
print(xpcall(error, pcall, "a"), xpcall(error, error), xpcall(error, error, "a"))

-- No yield inside a handler, nor across a call from a library function.
local function resume(body)
  local co = coroutine.create(body)
  print(coroutine.resume(co))
  print(coroutine.status(co))
  return co
end
resume(function() return xpcall(error, coroutine.yield, "x") end)
local refused = 0
resume(function()
  return xpcall(error, function(m)
    refused = refused + 1
    assert(not coroutine.isyieldable())
    coroutine.yield(m)
  end, "x")
end)
print(refused)
resume(function()
  return xpcall(error, function(m) return select(2, pcall(coroutine.yield, m)) end, "x")
end)
resume(function()
  return xpcall(error, function()
    return coroutine.wrap(function() coroutine.yield("from another coroutine") end)()
  end, "x")
end)
for _, handler in ipairs { tostring, error, coroutine.yield, loop } do
  local co = resume(function()
    xpcall(error, handler, "x")
    pcall(xpcall, error, handler, "y")
    return coroutine.yield(coroutine.isyieldable())
  end)
  print(coroutine.resume(co, "afterwards"))
end
print(pcall(coroutine.wrap(function()
  table.sort({ 3, 2, 1 }, function(a, b) coroutine.yield(1) return a < b end)
end)))
resume(function() return pcall(table.sort, { 1, 2, 3 }, coroutine.yield) end)
resume(function() return load(coroutine.yield) end)
resume(function() return (string.gsub("x", "x", coroutine.yield)) end)
resume(function() return tostring(setmetatable({}, { __tostring = coroutine.yield })) end)
print(pcall(coroutine.yield))
print(pcall(function() coroutine.yield() end))

-- Readers of load.
local function read(...)
  local pieces, at = { ... }, 0
  return pcall(load, function() at = at + 1 return pieces[at] end)
end
print(read({}))
print(read("x =", {}))
print(select(2, read("return ", 12))())
print(select(2, read("return ", 1.5, ", 2"))())
print(read(true))
