-- What a suspended coroutine has on its stack is there when it goes on, however much it is.

-- Variables that are shared with closures while their coroutine is suspended.
do
  local function shared()
    local n, text = 0, "a"
    local function add(k) n = n + k; text = text .. k end
    local co = coroutine.wrap(function()
      local inner = 10
      local function both() inner = inner + 1; n = n + inner; return inner end
      while true do
        local got = coroutine.yield(add, both, n, inner, text)
        inner = inner + (got or 0)
      end
    end)
    return co
  end
  local co = shared()
  local add, both, n, inner = co()
  add(5)
  print(both(), both(), n, inner)
  print(select(3, co(100)))
  add(7)
  print(both())
  print(select(3, co()))
end

-- An upvalue of a coroutine that is closed, that dies of an error, and that is garbage.
do
  local get, set
  local function body(fails)
    local x = "in the coroutine"
    get = function() return x end
    set = function(v) x = v end
    coroutine.yield()
    if fails then error("failed with " .. x, 0) end
  end
  local co = coroutine.create(body)
  coroutine.resume(co, false)
  set("changed while suspended")
  print(get(), coroutine.close(co), coroutine.status(co), get())
  set("changed when dead")
  print(get())
  co = coroutine.create(body)
  coroutine.resume(co, true)
  set("a new value")
  print(coroutine.resume(co))
  print(get())
  co = coroutine.create(body)
  coroutine.resume(co)
  co = nil
  for i = 1, 20000 do local t = {i} end
  print(get())
end

-- Any number of variables, arguments and results.
for _, count in ipairs { 0, 1, 5, 60, 61, 62, 63, 64, 65, 66, 100, 180 } do
  local names, values, sum = {}, {}, {}
  for i = 1, count do
    names[i], values[i], sum[i] = "v" .. i, tostring(i), "v" .. i
  end
  local source = "local a = coroutine.yield() " ..
    (count > 0 and "local " .. table.concat(names, ",") .. "=" .. table.concat(values, ",") or "") ..
    " local b = coroutine.yield(1) local c = coroutine.yield(2) " ..
    " return a + b + c + " .. (count > 0 and table.concat(sum, "+") or "0")
  local co = coroutine.wrap(load(source))
  co()
  print(count, co(1000), co(2000), co(3000))
  local many = coroutine.wrap(function(...)
    local n = select("#", ...)
    while true do n = n + select("#", coroutine.yield(...)) end
  end)
  local arguments = {}
  for i = 1, count * 3 do arguments[i] = i end
  print(select("#", many(table.unpack(arguments))), select("#", many(table.unpack(arguments))))
end

-- Deep and shallow in turn.
do
  local function down(n)
    if n == 0 then return coroutine.yield("bottom") end
    local got = down(n - 1)
    return got + 1
  end
  local co = coroutine.wrap(function()
    local total = 0
    for _, depth in ipairs { 0, 3, 30, 1, 300, 2, 3000, 0, 5 } do
      total = total + down(depth)
      total = total + coroutine.yield(total)
    end
    return "end", total
  end)
  local results = { co() }
  while results[1] ~= "end" do
    results = { co(1) }
    if results[1] ~= "bottom" then print(table.unpack(results)) end
  end
end

-- Suspended inside protected calls, metamethods, iterators and tail calls.
do
  local mt = {}
  mt.__index = function(_, k) return coroutine.yield("index", k) end
  mt.__newindex = function(_, k, v) coroutine.yield("newindex", k, v) end
  mt.__add = function(a, b) return coroutine.yield("add") end
  mt.__concat = function(a, b) return coroutine.yield("concat") end
  mt.__lt = function() return coroutine.yield("lt") end
  mt.__call = function(_, ...) return coroutine.yield("call", ...) end
  mt.__len = function() return coroutine.yield("len") end
  local object = setmetatable({}, mt)
  local co = coroutine.wrap(function(...)
    local before, after = "before", select("#", ...)
    local r = { object.x, object + 1, "a" .. "b" .. object .. "c", object < object, object(1, 2), #object }
    object.y = 3
    local ok, e = pcall(function() local x = coroutine.yield("pcall") error(x, 0) end)
    local ok2, e2 = xpcall(function() error(coroutine.yield("xpcall"), 0) end,
      function(m) return before .. m end)
    for k in function(_, last) return coroutine.yield("iterator", last) end do
      r[#r + 1] = k
    end
    local function tail(n) if n == 0 then return coroutine.yield("tail") end return tail(n - 1) end
    r[#r + 1] = tail(10)
    r[#r + 1] = ok; r[#r + 1] = e; r[#r + 1] = ok2; r[#r + 1] = e2
    r[#r + 1] = before; r[#r + 1] = after; r[#r + 1] = select(2, ...)
    for i = 1, #r do r[i] = tostring(r[i]) end
    return "done", table.concat(r, " ")
  end)
  local step = 0
  local results = table.pack(co(1, "second", 3))
  while results[1] ~= "done" do
    step = step + 1
    print(table.unpack(results, 1, results.n))
    local answer = step
    if results[1] == "iterator" and step > 14 then answer = nil end
    if results[1] == "concat" then answer = "<" .. step .. ">" end
    results = table.pack(co(answer))
  end
  print(results[2])
end

-- Coroutines inside coroutines, more than stacks are kept for.
do
  local function nest(n)
    return coroutine.wrap(function(a)
      local inner = n > 0 and nest(n - 1)
      local sum = 0
      while true do
        sum = sum + (inner and inner(a) or a)
        a = coroutine.yield(sum)
      end
    end)
  end
  local co = nest(30)
  for i = 1, 5 do print(co(i)) end
  local list = {}
  for i = 1, 40 do list[i] = nest(i % 3) end
  local sum = 0
  for round = 1, 5 do
    for i = 1, #list do sum = sum + list[i](round * i) end
  end
  print(sum)
end

-- The stack of a suspended coroutine can be looked at.
do
  local function inner() coroutine.yield() end
  local function outer() inner() return 1 end
  local co = coroutine.create(outer)
  print((debug.traceback(co, "new"):gsub("\n.*", "")))
  coroutine.resume(co)
  print((debug.traceback(co, "suspended"):gsub("0x%x+", "")))
  print(coroutine.status(co), coroutine.resume(co))
  print(coroutine.status(co), coroutine.resume(co))
end

-- Coroutines that are made, run and forgotten.
do
  local sum = 0
  for i = 1, 3000 do
    local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) if i % 3 == 0 then error(b) end return b end)
    sum = sum + co(i)
    if i % 2 == 0 then sum = sum + (select(2, pcall(co, i)) == i and 1 or 2) end
  end
  print(sum)
end
