-- Weak tables (manual, 2.5.4). Whatever is counted is counted after a full collection.
local function count(t) local n = 0 for _ in pairs(t) do n = n + 1 end return n end
local function keys(t)
  local list = {}
  for k in pairs(t) do list[#list + 1] = type(k) == "table" and "table" or tostring(k) end
  table.sort(list)
  return table.concat(list, " ")
end

-- Weak keys: values, strings and numbers among the keys stay.
local weak = setmetatable({}, { __mode = "k" })
local kept = {}
weak[kept] = "kept"
for i = 1, 5 do weak[{}] = i; weak[i] = i; weak["s" .. i] = {} end
weak[true] = {}; weak[1.5] = "float"; weak[print] = "light"
collectgarbage()
print(count(weak), weak[kept], #weak, weak[1.5], weak[print], weak[2.0], type(weak.s3))
weak[print] = nil
print(keys(weak))

-- Ephemerons: a value that leads to its key, and chains.
local eph = setmetatable({}, { __mode = "k" })
do
  local k = {}
  eph[k] = { k }
  local a, b = {}, {}
  eph[a] = { b }; eph[b] = { a }
end
local first = {}
local link = first
for i = 1, 100 do local n = {}; eph[link] = { next = n }; link = n end
link = nil
collectgarbage()
print(count(eph))
local length, at = 0, first
while eph[at] do length, at = length + 1, eph[at].next end
print(length)
first, at = nil, nil
collectgarbage()
print(count(eph), next(eph))

-- Weak values: an entry with a string key goes with its value.
local cache = setmetatable({}, { __mode = "v" })
local alive = {}
cache.alive, cache.dead, cache[1], cache[2], cache[3] = alive, {}, {}, "text", alive
cache.f, cache.number, cache.yes = function() return alive end, 12, true
do local key = {} cache[key] = key end
collectgarbage()
print(keys(cache))
print(cache.alive == alive, cache.dead, cache[1], cache[2], cache[3] == alive, cache.f)

-- Keys and values.
local both = setmetatable({}, { __mode = "kv" })
both[alive] = alive; both[{}] = 1; both.x = {}; both[1] = alive
do local t = {} both[t] = t end
collectgarbage()
print(keys(both))

-- Coroutines, closures, files as keys and values.
for _, mode in ipairs { "k", "v", "kv" } do
  local t = setmetatable({}, { __mode = mode })
  local co, f = coroutine.create(print), function() return t end
  t[co], t[f], t[io.stdout] = co, f, io.stdout
  t[coroutine.create(print)] = 1
  t[2] = function() return t end
  collectgarbage()
  print(mode, t[co] == co, t[f] == f, t[io.stdout] == io.stdout, count(t))
end

-- A traversal in whose middle entries are assigned, removed and collected.
local t = setmetatable({}, { __mode = "v" })
local strong = {}
for i = 1, 40 do local v = { i } t["k" .. i] = v if i % 2 == 0 then strong[i] = v end end
local seen, sum = 0, 0
for k, v in pairs(t) do
  seen = seen + 1
  sum = sum + v[1]
  v = nil
  if seen % 8 == 0 then collectgarbage() end
  if strong[tonumber(k:sub(2))] then t[k] = nil end
end
print(seen >= 20 and seen <= 40, sum >= 420)
collectgarbage()
print(count(t))
print(pcall(next, t, "not there"))

-- The table library, lengths, raw access, metamethods.
local list = setmetatable({}, { __mode = "v", __index = function(_, k) return "no " .. tostring(k) end })
for i = 1, 10 do table.insert(list, i * 10) end
print(#list, rawlen(list), table.remove(list), table.remove(list, 1), #list, list[9], rawget(list, 9))
table.sort(list, function(a, b) return a > b end)
print(table.unpack(list, 1, 8))
print(table.concat(table.move(list, 1, 8, 2), " ", 1, 9))
rawset(list, "k", list)
print(rawget(list, "k") == list, list.k == list, list.other)
local log = {}
local proxy = setmetatable({}, { __mode = "k", __newindex = function(t, k, v) log[#log + 1] = k; rawset(t, k, v) end })
proxy.a = 1; proxy.a = 2; proxy.b = 3; proxy.a = nil; proxy.a = 4
print(table.concat(log, " "), proxy.a, proxy.b)
local derived = setmetatable({}, { __index = setmetatable({ x = "inherited" }, { __mode = "k" }) })
print(derived.x, derived.y)

-- A metatable that is weak itself.
local meta = setmetatable({ __index = { field = "through a weak metatable" } }, { __mode = "k" })
print(setmetatable({}, meta).field)
meta = setmetatable({ __index = function() return "gone" end, __name = "Weak" }, { __mode = "v" })
local object = setmetatable({}, meta)
meta.__index = { field = 1 }
collectgarbage()
print(object.field, (tostring(object):gsub(":.*", "")))

-- The mode changes with the metatable.
local change = { 10, 20, 30, x = "y", [alive] = alive }
setmetatable(change, { __mode = "k" })
change[{}] = 1
collectgarbage()
print(#change, change.x, change[alive] == alive, keys(change))
setmetatable(change, { __mode = "v" })
change.dead = {}
collectgarbage()
print(keys(change))
setmetatable(change, nil)
change.strong, change[{}] = {}, 1
collectgarbage()
print(keys(change), #change, type(change.strong))
setmetatable(change, { __mode = "neither" })
change.z = {}
collectgarbage()
print(type(change.z))

-- Errors.
print(pcall(rawset, weak, nil, 1))
print(pcall(rawset, weak, 0 / 0, 1))
print(weak[nil], weak[0 / 0])

-- Growth: a table of weak keys does not grow with what has gone through it.
local churn = setmetatable({}, { __mode = "k" })
for i = 1, 20000 do churn[{}] = { i } if i % 1000 == 0 then collectgarbage() end end
collectgarbage()
print(count(churn))

-- Entries that are removed during a traversal do not lead it back, whatever their keys are.
for _, mode in ipairs({ "k", "v", "kv" }) do
  local t = setmetatable({ [false] = 1, [true] = 1, [0] = 1, [1] = 1, [2] = 1 }, { __mode = mode })
  local seen = 0
  for key in pairs(t) do
    seen = seen + 1
    if key ~= true then t[key] = nil end
  end
  print(mode, seen, next(t))
  for i = 1, 40 do
    t[i * 7919 % 1000003] = i
  end
  seen = 0
  for key in pairs(t) do
    seen = seen + 1
    if seen % 2 == 0 then t[key] = nil end
  end
  print(seen)
  seen = 0
  for _ in pairs(t) do
    seen = seen + 1
  end
  print(seen)
end

-- A removed entry does not keep its key.
do
  local collected = 0
  local t = setmetatable({}, { __mode = "v" })
  for i = 1, 10 do
    local key = setmetatable({}, { __gc = function() collected = collected + 1 end })
    t[key] = i
    t[key] = nil
  end
  collectgarbage()
  print(collected > 8, next(t))
end
