-- Coroutines that have died of an error: what is left of them, however deep they were.

local function down(n, last)
  if n == 0 then return last() end
  local got = down(n - 1, last)
  return got
end
local function raise() error("at the bottom") end

-- The traceback has every function that ran.
for _, depth in ipairs { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20, 60, 377, 378, 379 } do
  local co = coroutine.create(function() local got = down(depth, raise) return got end)
  print(depth, coroutine.resume(co))
  print(debug.traceback(co))
  print(debug.traceback(co, "from level 3", 3))
  collectgarbage()
  print(#debug.traceback(co), coroutine.status(co), coroutine.resume(co))
  print(coroutine.close(co))
  print(debug.traceback(co), coroutine.status(co), coroutine.close(co))
end

-- Native functions, protected calls and metamethods among them.
do
  local object = setmetatable({}, { __add = function() error("in a metamethod", 0) end })
  local kinds = {
    function() table.sort({ 3, 2, 1 }, function() local x = object + 1 return x end) end,
    function() local x = ("x"):gsub(".", function() local y = object + 1 return y end) return x end,
    function() pcall(error) local ok, e = pcall(raise) error(e, 0) end,
    function() local x = (function(...) local y = object + ... return y end)(1, 2, 3) return x end,
    function() for x in pairs(nil) do end end,
    function() for x in function() error("iterator") end do end end,
    function() local x = coroutine.wrap(function() raise() end)() return x end,
    function() error(setmetatable({}, { __tostring = function() return "object" end })) end,
    function() error() end,
    error,
  }
  for i, kind in ipairs(kinds) do
    local co = coroutine.create(kind)
    local ok, message = coroutine.resume(co, "an argument")
    print(i, ok, tostring(message))
    collectgarbage()
    print(debug.traceback(co))
    local closed, last = coroutine.close(co)
    print(closed, rawequal(last, message), coroutine.status(co))
  end
end

-- Its variables live on in closures, and are theirs alone.
do
  local get, set
  local co = coroutine.create(function(a)
    local b = {}
    local function body(n)
      local c = "c" .. n
      get = function() return a, b.x, c end
      set = function(x, y) a, b.x, c = x, y, x .. y end
      coroutine.yield()
      set(a .. "!", "b")
      raise()
    end
    local got = down(100, function() local x = body(1) return x end)
    return got
  end)
  coroutine.resume(co, "a")
  print(get())
  set("A", "B")
  print(get())
  print(coroutine.resume(co))
  print(get())
  collectgarbage()
  set("X", "Y")
  print(get())
  print(coroutine.close(co))
  print(get())
end

-- A function made by `wrap` closes its coroutine when that fails: the error is gone with it.
do
  local co
  local wrapped = coroutine.wrap(function() co = coroutine.running() coroutine.yield() raise() end)
  wrapped()
  print(pcall(wrapped))
  print(coroutine.status(co), debug.traceback(co), coroutine.close(co))
  print(pcall(wrapped))
  print(coroutine.resume(co))
  print(coroutine.close(co))
end

-- Many: some are closed, some go on, and others use the stacks that the dead have left.
do
  local list, alive = {}, 0
  for i = 1, 300 do
    list[i] = coroutine.create(function(a)
      local b, c = a + 1, { a }
      local got = down(i % 50, function() local x = coroutine.yield(b) if x % 3 == 0 then raise() end return x end)
      return got + b + c[1]
    end)
    assert(select(2, coroutine.resume(list[i], i)) == i + 1)
  end
  local sum, failed = 0, 0
  for i = 1, 300 do
    local ok, result = coroutine.resume(list[i], i)
    if ok then sum = sum + result else failed = failed + 1 end
    if i % 5 == 0 then alive = alive + (coroutine.close(list[i]) and 0 or 1) end
  end
  print(sum, failed, alive)
end
