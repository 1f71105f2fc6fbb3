-- Coroutines: passing values in and out, status, wrap, isyieldable, running, close.
local function try(f) print(select(2, pcall(f))) end

-- Values travel both ways.
local co = coroutine.create(function(a, b, ...)
  print("start", a, b, ...)
  local c = coroutine.yield(a + b)
  print("got", c)
  local d, e = coroutine.yield(c * 2, "two")
  print("got", d, e)
  print("got", coroutine.yield())
  return "end", nil, 3
end)
print(coroutine.status(co))
print(coroutine.resume(co, 1, 2, 3, nil))
print(coroutine.resume(co, 10, "extra"))
print(coroutine.resume(co, "d", "e"))
print(coroutine.status(co))
print(coroutine.resume(co))
print(coroutine.status(co))
print(coroutine.resume(co))
print(coroutine.resume(co, "still dead"))

-- Status as seen from inside, from another coroutine, and at the end.
local outer
local inner = coroutine.create(function()
  print("inner sees outer:", coroutine.status(outer))
  coroutine.yield()
end)
outer = coroutine.create(function()
  print("outer sees itself:", coroutine.status(outer))
  coroutine.resume(inner)
  print("outer sees inner:", coroutine.status(inner))
end)
coroutine.resume(outer)
print(coroutine.status(outer), coroutine.status(inner))

-- running and isyieldable.
local main, is_main = coroutine.running()
print(type(main), is_main, coroutine.isyieldable(), coroutine.status(main))
coroutine.wrap(function()
  local self, flag = coroutine.running()
  print(self ~= main, flag, coroutine.isyieldable(), coroutine.status(main), coroutine.isyieldable(main), coroutine.isyieldable(self))
end)()
print(coroutine.isyieldable(co))

-- wrap.
local gen = coroutine.wrap(function(...) for i = 1, select("#", ...) do coroutine.yield(i, (select(i, ...))) end return "done" end)
print(gen("a", nil, "c")); print(gen()); print(gen()); print(gen())
try(function() gen() end)
local fib = coroutine.wrap(function() local a, b = 0, 1 while true do coroutine.yield(a); a, b = b, a + b end end)
local parts = {}
for i = 1, 20 do parts[i] = fib() end
print(table.concat(parts, " "))

-- Yield inside nested calls, loops, and expressions.
local function deep(n) if n == 0 then return coroutine.yield("bottom") end return deep(n - 1) + 1 end
local d = coroutine.create(function() return deep(50) end)
print(coroutine.resume(d)); print(coroutine.resume(d, 100))
local expr = coroutine.wrap(function() return coroutine.yield(1) + coroutine.yield(2) * coroutine.yield(3), { coroutine.yield(4), k = coroutine.yield(5) } end)
print(expr(), expr(10), expr(20), expr(30), expr("x"))
local sum, t = expr("y")
print(sum, t[1], t.k)

-- Yield with many values, none, nils.
local many = coroutine.wrap(function(...) return select("#", coroutine.yield(table.unpack({ ... }, 1, 100))) end)
print(select("#", many(1, 2, 3)), many(nil, nil))
print(select("#", coroutine.resume(coroutine.create(function() coroutine.yield() end))))

-- Coroutines running coroutines: generators of generators.
local function chars(s) return coroutine.wrap(function() for c in s:gmatch(".") do coroutine.yield(c) end end) end
local function interleave(a, b) return coroutine.wrap(function()
  while true do
    local x, y = a(), b()
    if x then coroutine.yield(x) end
    if y then coroutine.yield(y) end
    if not (x or y) then return end
    if not x then a = function() end end
    if not y then b = function() end end
  end
end) end
local out = {}
for c in interleave(chars("abc"), interleave(chars("12"), chars("xyz"))) do out[#out + 1] = c end
print(table.concat(out))

-- A coroutine body may be a library function or a callable passed through a closure.
print(coroutine.resume(coroutine.create(math.max), 3, 9, 2))
print(coroutine.wrap(string.rep)("ab", 3))
local y = coroutine.create(coroutine.yield)
print(coroutine.resume(y, 1, 2)); print(coroutine.resume(y, 3, 4)); print(coroutine.resume(y))

-- Upvalues shared between coroutines and their creator.
local shared = 0
local workers = {}
for i = 1, 3 do workers[i] = coroutine.wrap(function() while true do shared = shared + i; coroutine.yield(shared) end end) end
print(workers[1](), workers[2](), workers[3](), workers[1](), shared)

-- close.
local c = coroutine.create(function() coroutine.yield() end)
print(coroutine.close(c), coroutine.status(c))
c = coroutine.create(function() coroutine.yield() end)
coroutine.resume(c)
print(coroutine.close(c), coroutine.status(c), coroutine.close(c))
print(coroutine.resume(c))
c = coroutine.create(function() error("oops", 0) end)
print(coroutine.resume(c)); print(coroutine.close(c)); print(coroutine.status(c))
try(function() coroutine.close(coroutine.running()) end)
coroutine.wrap(function() try(function() coroutine.close(main) end) end)()

-- Errors of usage.
try(function() coroutine.create() end)
try(function() coroutine.create(5) end)
try(function() coroutine.wrap("x") end)
try(function() coroutine.resume() end)
try(function() coroutine.resume(print) end)
try(function() coroutine.status({}) end)
try(function() coroutine.yield(1) end)
print(coroutine.resume(coroutine.running()))
coroutine.wrap(function() print(coroutine.resume(main)); print(coroutine.resume(coroutine.running())) end)()
local self_resume
self_resume = coroutine.wrap(function() return self_resume() end)
try(function() self_resume() end)
