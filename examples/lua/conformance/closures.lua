-- Closures and upvalues: sharing, fresh variables per iteration, capture of
-- parameters and varargs, recursion, loops left by break and goto.
local function counter(start)
  local n = start or 0
  return function(step) n = n + (step or 1); return n end, function() return n end, function(v) n = v end
end

local inc, get, set = counter()
local inc2 = counter(100)
print(inc(), inc(), inc(5), get(), inc2(), get())
set("replaced")
print(get(), inc2())

-- Loop variables are fresh in every kind of loop.
local fs = {}
for i = 1, 3 do fs[#fs + 1] = function() i = i + 10; return i end end
for _, v in ipairs { "a", "b" } do fs[#fs + 1] = function() v = v .. "!"; return v end end
local w = 0
while w < 2 do w = w + 1; local x = w; fs[#fs + 1] = function() x = x * 2; return x end end
repeat local y = w; w = w - 1; fs[#fs + 1] = function() y = y + 0.5; return y end until y == 1
for i, f in ipairs(fs) do io.write(tostring(f()), " ", tostring(f()), "; ") end
print()

-- The condition of repeat sees the local of the body, and closures keep it.
local captured
repeat
  local done = true
  captured = function() done = not done; return done end
until done
print(captured(), captured())

-- break and goto close the variables they leave.
local kept = {}
for i = 1, 5 do
  local v = i * i
  kept[i] = function() v = v + 1; return v end
  if i == 3 then break end
end
print(#kept, kept[1](), kept[1](), kept[3]())
do
  local list = {}
  local i = 1
  ::again::
  local fresh = i
  list[i] = function() fresh = fresh + 1; return fresh end
  i = i + 1
  if i <= 3 then goto again end
  print(list[1](), list[1](), list[2](), list[3]())
end

-- Parameters, varargs, and upvalues of upvalues.
local function outer(a, ...)
  local rest = { ... }
  return function(b)
    return function(c)
      a = a + 1
      rest[1] = (rest[1] or 0) + b
      return a, rest[1], b, c
    end
  end
end
local mid = outer(10, 5)
local f1, f2 = mid(1), mid(2)
print(f1("x")); print(f2("y")); print(f1("z"))

-- Two closures of the same call share; of different calls do not.
local function pair()
  local shared = {}
  return function(v) shared[#shared + 1] = v end, function() return table.concat(shared, ",") end
end
local add1, show1 = pair()
local add2, show2 = pair()
add1(1); add1(2); add2("x")
print(show1(), show2())

-- Recursion: local function sees itself, local f = function does not.
local function fact(n) return n <= 1 and 1 or n * fact(n - 1) end
print(fact(20))
local recursive = function(n) return recursive end
print(recursive(1))
local even, odd
function even(n) if n == 0 then return true end return odd(n - 1) end
function odd(n) if n == 0 then return false end return even(n - 1) end
print(even(1000), odd(7), even(7))

-- Tail calls do not grow the stack.
local function loop(n, acc) if n == 0 then return acc end return loop(n - 1, acc + n) end
print(loop(300000, 0))

-- Upvalues modified after the closure was made and after its frame is gone.
local function later()
  local x = 1
  local function read() return x end
  x = 2
  local function write(v) x = v end
  return read, write
end
local read, write = later()
print(read()); write(3); print(read())

-- Shadowing.
local x = 1
local function readx() return x end
local x = 2
do local x = 3; print(readx(), x) end
print(readx(), x)
local x = x + 1
print(x)

-- Many upvalues in one function.
local source = {}
for i = 1, 60 do source[#source + 1] = "local v" .. i .. " = " .. i end
source[#source + 1] = "return function() return v1"
for i = 2, 60 do source[#source + 1] = " + v" .. i end
source[#source + 1] = " end"
print(load(table.concat(source, "\n"))()())

-- Functions as values: stored, compared, passed, returned at once.
local ops = { add = function(a, b) return a + b end, ["sub"] = function(a, b) return a - b end }
function ops.mul(a, b) return a * b end
function ops:self() return self == ops end
print(ops.add(1, 2), ops.sub(1, 2), ops["mul"](3, 4), ops:self(), (function(...) return select("#", ...) end)(1, nil, nil))
local a = { b = { c = {} } }
function a.b.c.f(x) return x end
function a.b.c:m(x) return self == a.b.c, x end
print(a.b.c.f(1), a.b.c:m(2))

-- Curried composition.
local function compose(f, ...)
  if not f then return function(...) return ... end end
  local g = compose(...)
  return function(...) return f(g(...)) end
end
print(compose(function(x) return x + 1 end, function(x) return x * 2 end, tonumber)("20"))
