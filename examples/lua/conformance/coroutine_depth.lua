-- Deep and wide use of coroutines: long chains of resumes end in an error that can be
-- caught, many coroutines at once, deep recursion inside one.
local function nest(n)
  if n == 0 then return "bottom" end
  return coroutine.wrap(function() return nest(n - 1) end)()
end
print(nest(1), nest(10), nest(100))

-- Endless nesting: some level reports an overflow, every level above stays usable.
local depth = 0
local function endless()
  depth = depth + 1
  local ok, message = coroutine.resume(coroutine.create(endless))
  if not ok then error(message, 0) end
end
local ok, message = pcall(endless)
print(ok, message:find("overflow") ~= nil, depth > 100)

-- Recursion by pcall inside a coroutine, and endless recursion inside one.
local co = coroutine.create(function() local function f() return 1 + f() end return f() end)
ok, message = coroutine.resume(co)
print(ok, message:find("stack overflow") ~= nil, coroutine.status(co))
co = coroutine.create(function()
  local function f() return 1 + f() end
  local ok, m = pcall(f)
  coroutine.yield(ok, m:find("stack overflow") ~= nil)
  return "still alive"
end)
print(coroutine.resume(co)); print(coroutine.resume(co))

-- Deep recursion with a yield at the bottom, resumed and unwound.
co = coroutine.wrap(function()
  local function down(n) if n == 0 then return coroutine.yield("at the bottom") end return 1 + down(n - 1) end
  return down(5000)
end)
print(co(), co(0))

-- Many suspended at once.
local all, sum = {}, 0
for i = 1, 2000 do
  all[i] = coroutine.create(function(x) local acc = x while true do acc = acc + coroutine.yield(acc) end end)
  coroutine.resume(all[i], i)
end
for round = 1, 3 do
  for i = 1, #all do local _, v = coroutine.resume(all[i], round); sum = sum + v end
end
print(sum)

-- Created, run once, and dropped in large numbers.
local count = 0
for i = 1, 20000 do coroutine.wrap(function(a) count = count + a; coroutine.yield() end)(1) end
print(count)

-- A ring of coroutines that pass a token by yielding the next one to run.
local ring, hops = {}, 0
for i = 1, 50 do
  ring[i] = coroutine.create(function(token)
    while token > 0 do
      hops = hops + 1
      token = coroutine.yield(ring[i % 50 + 1], token - 1)
    end
    return nil, token
  end)
end
local current, token = ring[1], 1000
while current do
  local _, following, left = coroutine.resume(current, token)
  current, token = following, left
end
print(hops, token)

-- Symmetric style: producer and consumer as mutual resumers through a scheduler.
local queue, log = {}, {}
local function producer() for i = 1, 5 do queue[#queue + 1] = i * i; coroutine.yield() end end
local function consumer() while true do while #queue == 0 do coroutine.yield() end log[#log + 1] = table.remove(queue, 1); coroutine.yield() end end
local p, c = coroutine.create(producer), coroutine.create(consumer)
while coroutine.status(p) ~= "dead" do coroutine.resume(p); coroutine.resume(c) end
print(table.concat(log, " "))
