-- How deep calls, coroutines and source text may nest in each other.
local function depth(attempt)
  local n = 0
  local ok, message = pcall(attempt, function() n = n + 1 end)
  print(n, ok, message and #message < 40 and message)
end
local function recursive(via)
  depth(function(inc)
    local function g() inc() return via(g) end
    return g()
  end)
end
recursive(function(g) assert(coroutine.resume(coroutine.create(g))) end)
recursive(function(g) return coroutine.wrap(g)() end)
recursive(function(g) assert(pcall(g)) end)
recursive(function(g) string.gsub("x", "x", g) end)
recursive(function(g) table.sort({ 1, 2 }, g) end)
recursive(function(g) coroutine.wrap(function() pcall(g) end)() end)
recursive(function(g) xpcall(g, print) end)
recursive(function(g) load(g) end)
recursive(function(g) for _ in pairs(setmetatable({}, { __pairs = g })) do end end)
recursive(function(g) tostring(setmetatable({}, { __tostring = g })) end)
recursive(function(g) return setmetatable({}, { __index = g }).x end)
recursive(function(g) return setmetatable({}, { __add = g }) + 1 end)

-- A coroutine that has yielded goes on one level deeper than a new one can begin.
local function sieve(n)
  local function numbers() for i = 2, n do coroutine.yield(i) end end
  local function filter(p, source)
    return coroutine.wrap(function()
      while true do
        local i = source()
        if not i then return end
        if i % p ~= 0 then coroutine.yield(i) end
      end
    end)
  end
  local source, count = coroutine.wrap(numbers), 0
  local ok, message = pcall(function()
    while true do
      local prime = source()
      if not prime then return end
      count = count + 1
      source = filter(prime, source)
    end
  end)
  print(n, count, ok, message and message:match("C stack overflow"))
end
for _, n in ipairs { 100, 1190, 1200, 1201, 1202, 1300 } do sieve(n) end
local deepest
local function nest()
  local co = coroutine.create(nest)
  local ok, message = coroutine.resume(co)
  if not ok and not deepest then
    deepest = co
    print(coroutine.status(co), message, debug.traceback(co))
    print(coroutine.resume(co))
    print(coroutine.close(co))
  end
end
nest()

-- Statements and expressions; what is between two @ is repeated.
local function limit(pattern)
  local function try(count)
    local source = pattern:gsub("@(.-)@", function(s) return s:rep(count) end)
    return select(2, pcall(load, source, "=s"))
  end
  local function message(count)
    local source = pattern:gsub("@(.-)@", function(s) return s:rep(count) end)
    return select(3, pcall(load, source, "=s"))
  end
  local low, high = 1, 1000
  while low < high do
    local middle = (low + high + 1) // 2
    if try(middle) then low = middle else high = middle - 1 end
  end
  print(pattern, low, message(low + 1))
end
for _, pattern in ipairs {
  "return @(@1@)@", "return @{@@}@", "return @- @1", "return @not @1", "return @2 ^ @1",
  "return @2 ^ - @1", "return @1 .. @1", "return @a and @1", "return @a and (b or @1@)@",
  "return @2 + 3 * (@1@)@", "return @a[@1@]@", "return @a(@1@)@", "return @f{@@}@",
  "return @{x = @1@}@", "return @{[1] = @1@}@", "return @function() return @1@ end@",
  "@do @@end @", "@while 1 do @@end @", "@if 1 then @@end @", "@if x then else @@end @",
  "@repeat @@until 1 @", "@function f() @@end @", "@local function f() @@end @", "@a, @a = 1",
  "@a, @a = -1", "local a; @a, @a = f()", "@for i = 1, 2 do @@end @", "return a@.b@", "return a@()@",
  "if x then @elseif x then @end", "return 1@ + 1@", "@;@",
} do
  limit(pattern)
end
-- Calls count, too.
local function at(n, source)
  if n == 0 then
    local f, message = load(source)
    return f and "loaded" or message
  end
  return select(2, pcall(at, n - 1, source))
end
local source = "return " .. ("("):rep(50) .. "1" .. (")"):rep(50)
for n = 140, 150 do print(n, at(n, source)) end
for n = 140, 150 do
  print(n, (function(n)
    local function inside(n)
      if n == 0 then return at(0, source) end
      return coroutine.wrap(inside)(n - 1)
    end
    return inside(n)
  end)(n))
end
