-- Variables that are to be closed, without coroutines.

local function new(name, body)
  return setmetatable({name = name}, {
    __name = "Closable",
    __close = function(self, ...)
      print("close", self.name, select("#", ...), tostring(...))
      if body then body(self, ...) end
    end,
  })
end

print("== blocks")
do
  local a <close> = new "a"
  local b <close>, c = new "b", "c"
  local none <close> = nil
  local no <close> = false
  local absent <close>
  print("body", a.name, b.name, c, none, no, absent)
end
do local x <close> = new "alone" end
do
  local x <const>, y <close>, z = 1, new "in the middle", 3
  print(x, y.name, z)
end

print("== loops")
for i = 1, 3 do
  local x <close> = new("for " .. i)
  if i == 2 then goto continue end
  print("after", i)
  ::continue::
end
for i = 1, 3 do
  local x <close> = new("break " .. i)
  local y = function() return x end
  if i == 2 then break end
end
local n = 0
while n < 2 do
  n = n + 1
  local x <close> = new("while " .. n)
end
repeat
  local x <close> = new("repeat " .. n)
  n = n - 1
until print("condition", x.name) or n == 0
do
  local n = 0
  ::top::
  local x <close> = new("backward " .. n)
  n = n + 1
  if n < 3 then goto top end
  print "end"
end
do
  goto past
  do local x <close> = new "skipped" end
  ::past::
end
for i = 1, 2 do
  local a <close> = new("outer " .. i)
  for j = 1, 2 do
    local b <close> = new("inner " .. j)
    if j == i then goto next end
  end
  ::next::
end

print("== returns")
local function values(...)
  local a <close> = new "a"
  local b <close> = new "b"
  return ...
end
print(values())
print(values(1))
print(values(1, nil, 3, nil))
print(select("#", values(table.unpack({}, 1, 300))))
local function fixed()
  local a <close> = new "a"
  do
    local b <close> = new "b"
    return "one", "two", a.name
  end
end
print(fixed())
local function none() local a <close> = new "a" return end
print(select("#", none()))
local function falls() local a <close> = new "a" end
print(select("#", falls()))
local function tail()
  local a <close> = new "a"
  return print("no tail call")
end
tail()
local function trace()
  local a <close> = new "a"
  return debug.traceback("trace")
end
print(trace())
local function changes()
  local x = 1
  local a <close> = new("a", function() x = 2 end)
  return x, function() return x end
end
do
  local value, get = changes()
  print(value, get())
end
print((function(...)
  local a <close> = new "vararg"
  local b, c = ...
  return b, c, ...
end)(1, 2, 3))

print("== upvalues")
do
  local get
  do
    local x <close> = new "captured"
    get = function() return x.name end
  end
  print(get())
end

print("== errors in the block")
print(pcall(function()
  local a <close> = new "a"
  local b <close> = new "b"
  error("message", 0)
end))
print(pcall(function()
  local a <close> = new("a", function(_, e) print(e[1]) end)
  error(setmetatable({1}, {__tostring = function() return "object" end}))
end) == false)
print(pcall(function()
  local a <close> = new "a"
  local function deep(n)
    local x <close> = n % 2 == 0 and new(n) or nil
    if n == 0 then error() end
    deep(n - 1)
    print "not reached"
  end
  deep(4)
end))
print(pcall(function()
  local a <close> = new("a", function(_, e) error(e .. "+a", 0) end)
  local b <close> = new("b", function(_, e) error(e .. "+b", 0) end)
  local c <close> = new("c")
  local d <close> = new("d", function(_, e) error(e .. "+d", 0) end)
  error("x", 0)
end))
print("== errors in __close at a normal end")
print(pcall(function()
  local a <close> = new("a")
  local b <close> = new("b", function(_, e) error("from b", 0) end)
  local c <close> = new("c")
end))
print(pcall(function()
  local a <close> = new("a")
  local b <close> = new("b", function(_, e) error("from b", 0) end)
  return 1, 2, 3
end))
print(pcall(function()
  for i = 1, 3 do
    local a <close> = new("a" .. i, function() if i == 2 then error("stop", 0) end end)
  end
end))
print("== pcall inside")
print(pcall(function()
  local a <close> = new("a", function() print(pcall(error, "inner")) end)
  local b <close> = new("b", function()
    local c <close> = new "nested"
    print(pcall(function() local d <close> = new "deeper" error "again" end))
  end)
  error("outer", 0)
end))
print("== xpcall")
print(xpcall(function()
  local a <close> = new "a"
  error("x", 0)
end, function(m) print("handler", m) return m .. "!" end))
print(xpcall(function()
  local a <close> = new("a", function(_, e) print("sees", e) error("y", 0) end)
  local b <close> = new "b"
  error("x", 0)
end, function(m) print("handler", m) return m .. "!" end))

print("== what cannot be closed")
print(pcall(function() local x <close> = 42 end))
print(pcall(function() local x <close> = {} end))
print(pcall(function() local ok <close> = new "ok" local xyz <close> = "string" end))
print(pcall(function()
  local x <close> = new "x"
  getmetatable(x).__close = nil
end))
print(pcall(function()
  local x <close> = new "x"
  getmetatable(x).__close = 5
  error "first"
end))
print(pcall(function()
  local x <close> = new "x"
  getmetatable(x).__close = setmetatable({}, {__call = function(_, ...) print("called", select("#", ...)) end})
end))
print(load "local x <close> = nil; x = 1")
print(load "local x <close>, y <close> = 1, 2")
print(load "local x <const>, y <close>, z <close> = 1, 2")
print(load "local x <closed> = 1")
print(load "local x <close> = nil; local function f() x = 1 end")
print(load "goto l; local x <close> = nil; ::l:: print(x)")

print("== the generic for")
local function iterator(count, closing)
  return function(_, i) i = i + 1 if i <= count then return i end end, nil, 0, closing
end
for i in iterator(2, new "to the end") do print(i) end
for i in iterator(3, new "break") do if i == 2 then break end end
for i in iterator(0, new "no turn") do print(i) end
print((function() for i in iterator(3, new "return") do return i, "value" end end)())
print((function() for i in iterator(3, new "return") do return print(i) end end)())
print(pcall(function() for i in iterator(3, new "error") do error("in loop", 0) end end))
print(pcall(function() for i in iterator(3, 42) do print(i) end end))
print(pcall(function() for i in iterator(3, {}) do print(i) end end))
for i in iterator(2, new "goto") do
  for j in iterator(2, new "inner") do
    if j == 1 then goto out end
  end
end
::out::
for i in iterator(1, nil) do print(i) end
for i in iterator(1, false) do print(i) end
for i in iterator(3, new "continue") do
  if i == 2 then goto continue end
  print(i)
  ::continue::
end
for i in iterator(2, new("outer variable", function() print("last") end)) do
  local x <close> = new("inner variable " .. i)
  local f = function() return x, i end
end
print(pcall(function()
  for i in iterator(1, new("fails", function() error("in __close", 0) end)) do end
end))
local function nested()
  for i in iterator(2, new "first") do
    for j in iterator(2, new "second") do
      local k <close> = new "third"
      return i, j
    end
  end
end
print(nested())

print("== many")
local function many(n)
  local count = 0
  local function recurse(n)
    local x <close> = setmetatable({}, {__close = function() count = count + 1 end})
    if n > 0 then return (recurse(n - 1)) end
  end
  recurse(n)
  return count
end
print(many(100))
print("== in library functions")
print(pcall(table.sort, {3, 2, 1}, function(a, b)
  local x <close> = new "comparator"
  error("unsorted", 0)
end))
print(pcall(string.gsub, "abc", "b", function(a)
  local x <close> = new "replacement"
  return "x"
end))
print(select(2, pcall(load, function()
  local x <close> = new "reader"
  error("cannot read", 0)
end)))
print(pcall(function()
  local t = setmetatable({}, {__index = function(_, k) local x <close> = new "index" return k end})
  return t.field
end))
print(#setmetatable({}, {__len = function() local x <close> = new "len" return 7 end}))
print(tostring(setmetatable({}, {__tostring = function() local x <close> = new "tostring" return "text" end})))
print(pcall(function()
  local t = setmetatable({}, {__tostring = function() local x <close> = new "tostring" error("none", 0) end})
  return tostring(t)
end))

print("== tracebacks")
local function traced(name)
  return new(name, function() print(debug.traceback(name)) end)
end
do
  local x <close> = traced "block"
end
local function returns()
  local x <close> = traced "return"
  return 1
end
print(returns())
for i in iterator(1, traced "for") do end
print(pcall(function()
  local x <close> = traced "error"
  error("e", 0)
end))
print(debug.getinfo(1, "l").currentline)
