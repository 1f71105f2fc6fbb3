-- Variables that are to be closed in coroutines.

local function new(name, body)
  return setmetatable({name = name}, {
    __close = function(self, ...)
      print("close", self.name, select("#", ...), tostring(...))
      if body then body(self, ...) end
    end,
  })
end

print("== yield in the block")
local co = coroutine.create(function(...)
  local a <close> = new "a"
  print("got", ...)
  local x = coroutine.yield(1)
  local b <close> = new "b"
  print("got", x)
  return "result", coroutine.yield(2)
end)
print(coroutine.resume(co, "start"))
print(coroutine.resume(co, "x"))
print(coroutine.resume(co, "last"))
print(coroutine.status(co), coroutine.close(co))

print("== close of one that waits")
co = coroutine.create(function()
  local a <close> = new("a", function() print(coroutine.status(co), coroutine.running() == co, coroutine.isyieldable()) end)
  local function inner()
    local b <close> = new "b"
    coroutine.yield("waits")
    print "not reached"
  end
  for i = 1, 2 do
    local c <close> = new("c" .. i)
    inner()
  end
end)
print(coroutine.resume(co))
print(coroutine.close(co))
print(coroutine.status(co), coroutine.close(co), coroutine.resume(co))

print("== errors while it is closed")
co = coroutine.create(function()
  local a <close> = new "a"
  local b <close> = new("b", function(_, e) error("from b after " .. tostring(e), 0) end)
  local c <close> = new("c", function(_, e) error("from c after " .. tostring(e), 0) end)
  local d <close> = new "d"
  coroutine.yield()
end)
coroutine.resume(co)
print(coroutine.close(co))
print(coroutine.close(co))
co = coroutine.create(function()
  local a <close> = new "a"
  local b <close> = new("b", function(_, e) error(nil) end)
  coroutine.yield()
end)
coroutine.resume(co)
print(coroutine.close(co))
co = coroutine.create(function()
  local a <close> = new("a", function() print(pcall(coroutine.yield, 1)) coroutine.yield(2) end)
  coroutine.yield()
end)
coroutine.resume(co)
print(coroutine.close(co))

print("== an error in the coroutine")
co = coroutine.create(function()
  local a <close> = new "a"
  local b <close> = new("b", function(_, e) error("from b after " .. tostring(e), 0) end)
  local function inner() local c <close> = new "c" error("first", 0) end
  inner()
end)
print(coroutine.resume(co))
print(coroutine.status(co))
print(select("#", debug.traceback(co):gsub("\n", "")) > 0)
collectgarbage()
print(coroutine.close(co))
print(coroutine.close(co), coroutine.status(co))
co = coroutine.create(function() local a <close> = new "a" error(nil) end)
print(coroutine.resume(co))
print(coroutine.close(co))

print("== wrap")
local f = coroutine.wrap(function()
  local a <close> = new "a"
  local b <close> = new "b"
  coroutine.yield(1)
  error("wrapped", 0)
end)
print(f())
print(pcall(f))
print(pcall(f))
f = coroutine.wrap(function()
  local a <close> = new("a", function(_, e) error("instead", 0) end)
  error("wrapped", 0)
end)
print(pcall(f))
f = coroutine.wrap(function()
  local a <close> = new("a", function(_, e) error({}) end)
  error("wrapped", 0)
end)
print(type(select(2, pcall(f))))
f = coroutine.wrap(function()
  local a <close> = new("a", function(_, e) print(pcall(coroutine.yield)) end)
  error("wrapped")
end)
print(pcall(f))

print("== yield in __close")
local function yields(name)
  return new(name, function(_, e) print(name, "got", coroutine.yield(name, e)) end)
end
local function run(body)
  local co = coroutine.create(body)
  local results
  local i = 0
  repeat
    results = table.pack(coroutine.resume(co, i))
    print("resume", table.unpack(results, 1, results.n))
    i = i + 1
  until coroutine.status(co) == "dead"
end
run(function()
  do
    local a <close> = yields "a"
    local b <close> = yields "b"
  end
  print "after"
end)
run(function(...)
  local a <close> = yields "a"
  local b <close> = yields "b"
  return "one", "two", nil, ...
end)
run(function()
  local t = table.pack((function()
    local a <close> = yields "a"
    local b <close> = yields "b"
    return table.unpack({}, 1, 200)
  end)())
  return t.n
end)
run(function()
  return pcall(function()
    local a <close> = yields "a"
    local b <close> = yields "b"
    error("caught", 0)
  end)
end)
run(function()
  return xpcall(function()
    local a <close> = yields "a"
    local b <close> = new("b", function() error("replaced", 0) end)
    local c <close> = yields "c"
    error("caught", 0)
  end, function(m) return "handled " .. tostring(m) end)
end)
run(function()
  for i in function(_, i) i = (i or 0) + 1 if i <= 2 then return i end end, nil, nil, yields "for" do
    print("turn", i)
  end
  for i in function(_, i) i = (i or 0) + 1 if i <= 2 then return i end end, nil, nil, yields "break" do
    print("turn", i)
    if i == 1 then break end
  end
  for i in function(_, i) i = (i or 0) + 1 if i <= 2 then return i end end, nil, nil, yields "return" do
    return "from the loop", i
  end
end)
run(function()
  local t = setmetatable({}, {__add = function(a, b) local x <close> = yields "add" return b end})
  return t + 5
end)
run(function()
  while true do
    local x <close> = yields "loop"
    local y = function() return x end
    if y() then break end
  end
  return "out"
end)

print("== closed while it yields in __close")
co = coroutine.create(function()
  local a <close> = new "a"
  local b <close> = yields "b"
  local c <close> = new "c"
end)
print(coroutine.resume(co))
print(coroutine.close(co))
co = coroutine.create(function()
  pcall(function()
    local a <close> = new "a"
    local b <close> = yields "b"
    error("x", 0)
  end)
end)
print(coroutine.resume(co))
print(coroutine.close(co))

print("== nested")
local outer
outer = coroutine.create(function()
  local inner = coroutine.create(function()
    local x <close> = new("inner", function() print(pcall(coroutine.close, outer)) print(pcall(coroutine.resume, outer)) end)
    coroutine.yield()
  end)
  coroutine.resume(inner)
  local y <close> = new("outer", function() print("inner", coroutine.close(inner)) end)
  coroutine.yield("both")
end)
print(coroutine.resume(outer))
print(coroutine.close(outer))
print(pcall(coroutine.close, coroutine.running()))
print(pcall(coroutine.close))
co = coroutine.wrap(function() print(pcall(coroutine.close, (coroutine.running()))) end)
co()
do
  local wrapped <close> = new("main", function()
    local g = coroutine.wrap(function() local x <close> = new "in wrap" coroutine.yield(1) return 2 end)
    print(g(), g())
  end)
end

print("== in a library function")
co = coroutine.create(function()
  local t = {3, 2, 1}
  return pcall(table.sort, t, function(a, b)
    local x <close> = new "comparator"
    error("unsorted", 0)
  end)
end)
print(coroutine.resume(co))
-- Many, one inside the other.
local function chain(n)
  local co = coroutine.create(function()
    local inner = n > 0 and chain(n - 1)
    local x <close> = setmetatable({}, {__close = function() if inner then coroutine.close(inner) end end})
    coroutine.yield()
  end)
  coroutine.resume(co)
  return co
end
print(coroutine.close(chain(50)))
-- Those that nothing refers to are not closed.
co = coroutine.create(function() local x <close> = new "never" coroutine.yield() end)
coroutine.resume(co)
co = nil
collectgarbage()
print "end"
