-- Endless recursion ends in an error that can be caught, whatever it goes through.
local function overflow(f)
  local ok, message = pcall(f)
  print(ok, type(message) == "string" and message:find("stack overflow") ~= nil)
end

local function plain() return 1 + plain() end
overflow(plain)

local a, b
function a() local x = b(); return x end
function b() local x = a(); return x end
overflow(a)

overflow(function() local function f(n) return f(n + 1) + n end return f(1) end)

local t = setmetatable({}, {})
getmetatable(t).__index = function(self, k) return self[k .. "x"] end
local ok, message = pcall(function() return t.k end)
print(ok, message:find("overflow") ~= nil)
getmetatable(t).__add = function(x, y) return x + y end
ok, message = pcall(function() return t + 1 end)
print(ok, message:find("overflow") ~= nil)
getmetatable(t).__call = function(self, n) return 1 + self(n) end
ok, message = pcall(function() return t(1) end)
print(ok, message:find("overflow") ~= nil)

local method = {}
function method:run() return (self:run()) end
overflow(function() return method:run() end)

-- Through pcall: every level catches, the innermost one fails.
local depth = 0
local function through_pcall() depth = depth + 1; local ok, m = pcall(through_pcall); if not ok then error(m, 0) end return ok end
ok, message = pcall(through_pcall)
print(ok, tostring(message):find("overflow") ~= nil, depth > 50)

-- Through library functions that call back.
local function through_sort() table.sort({ 2, 1 }, function(x, y) through_sort(); return x < y end) end
ok, message = pcall(through_sort)
print(ok, message:find("overflow") ~= nil)
local function through_gsub() return (("x"):gsub("x", through_gsub)) end
ok, message = pcall(through_gsub)
print(ok, message:find("overflow") ~= nil)

-- Afterwards everything works again, and deep but finite recursion is fine.
local function sum(n) if n == 0 then return 0 end return n + sum(n - 1) end
print(sum(10000))
overflow(plain)
print(sum(15000), pcall(sum, 10))

-- Tail calls never overflow.
local function count(n) if n > 0 then return count(n - 1) end return "done" end
print(count(1000000))
local function even(n) if n == 0 then return true end return (function() return n == 0 end)() or even(n - 1) end
print(even(100000))

-- Deeply nested data is built without recursion and walked with a bound.
local nested = {}
for _ = 1, 100000 do nested = { nested } end
local levels = 0
while nested do levels = levels + 1; nested = nested[1] end
print(levels)

-- Handlers see the overflow as well.
print(xpcall(plain, function(m) return m:find("stack overflow") ~= nil end))

-- In a coroutine: an overflow that is caught, and it goes on; one that is not.
do
  local function endless() return 1 + endless() end
  local co = coroutine.create(function(...)
    local kept = "kept"
    for i = 1, 2 do
      local ok, message = pcall(endless)
      print(ok, (message:gsub("\n.*", "")), kept, coroutine.yield(i))
    end
    endless()
  end)
  print(coroutine.resume(co))
  collectgarbage()
  print(coroutine.resume(co, "again"))
  print(coroutine.status(co))
  local ok, message = coroutine.resume(co)
  print(ok, (message:gsub("\n.*", "")), coroutine.status(co))
  print(select(2, debug.traceback(co):gsub("\n", "\n")))
  collectgarbage()
  print((coroutine.close(co)))
end

-- Variables that are to be closed, of very many calls.
do
  local count, depth = 0, 0
  local closing = {__close = function() count = count + 1 end}
  local function recurse()
    local x <close> = setmetatable({}, closing)
    depth = depth + 1
    recurse()
  end
  local ok, message = pcall(recurse)
  print(ok, (message:gsub("^.-:%d+: ", ""):gsub("%(.*", "")), count == depth, count > 1000)
  local function fails(n)
    local x <close> = setmetatable({}, {__close = function(_, e) error(n, 0) end})
    if n < 150 then fails(n + 1) end
    error("first")
  end
  print(pcall(fails, 1))
end
