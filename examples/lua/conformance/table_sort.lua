-- table.sort: orders, comparison functions, stability of results where the order is
-- total, errors.
local function show(t)
  local parts = {}
  for i, v in ipairs(t) do parts[i] = tostring(v) end
  print(table.concat(parts, " "))
end
local function try(f) print(select(2, pcall(f))) end

local function sorted(t, ...) table.sort(t, ...) return t end

show(sorted {})
show(sorted { 1 })
show(sorted { 2, 1 })
show(sorted { 3, 1, 2 })
show(sorted { 5, 2, 8, 1, 9, 3, 7, 4, 6, 0 })
show(sorted { 1, 1, 1, 1 })
show(sorted({ 5, 2, 8, 1 }, function(a, b) return a > b end))
show(sorted { "banana", "apple", "cherry", "Apple", "10", "9", "" })
show(sorted { 1.5, 1, -1, 2, -1.5, 0 })
show(sorted({ "aaa", "b", "cc" }, function(a, b) return #a < #b end))
print(select("#", table.sort({})))

local seed = 1
local function random(limit)
  seed = (seed * 1103515245 + 12345) & 0x7fffffff
  return (seed >> 8) % limit
end

for _, n in ipairs { 10, 100, 101, 500, 2000 } do
  local t, sum = {}, 0
  for i = 1, n do t[i] = random(n); sum = sum + t[i] end
  table.sort(t)
  local ok = true
  for i = 2, n do ok = ok and t[i - 1] <= t[i] end
  for i = 1, n do sum = sum - t[i] end
  table.sort(t, function(a, b) return a > b end)
  for i = 2, n do ok = ok and t[i - 1] >= t[i] end
  print(n, ok, sum, t[1], t[n], t[n // 2])
end

-- All equal, already sorted, reversed, organ pipe.
local shapes = { function() return 7 end, function(i) return i end, function(i) return -i end }
for _, shape in ipairs(shapes) do
  local t = {}
  for i = 1, 300 do t[i] = shape(i) end
  table.sort(t)
  print(t[1], t[2], t[150], t[300])
end
local pipe = {}
for i = 1, 200 do pipe[i] = i; pipe[401 - i] = i end
table.sort(pipe)
print(pipe[1], pipe[2], pipe[200], pipe[399], pipe[400])

-- Records with several keys.
local records = {}
for i = 1, 60 do records[i] = { name = "n" .. i % 7, rank = i % 4, id = i } end
table.sort(records, function(a, b)
  if a.name ~= b.name then return a.name < b.name end
  if a.rank ~= b.rank then return a.rank > b.rank end
  return a.id < b.id
end)
local hash = 0
for i, r in ipairs(records) do hash = (hash * 31 + r.id * i) & 0xffffffff end
print(hash, records[1].id, records[60].id)

-- Sorting by __lt.
local mt = { __lt = function(a, b) return a.v < b.v end }
local objects = {}
for i = 1, 20 do objects[i] = setmetatable({ v = i * 7 % 20 }, mt) end
table.sort(objects)
for i, o in ipairs(objects) do objects[i] = o.v end
show(objects)

-- The comparison function may yield an error, which leaves sort at once.
local calls = 0
print(pcall(table.sort, { 3, 2, 1 }, function() calls = calls + 1; error("stop", 0) end))
print(calls)

try(function() table.sort({ 1, 2 }, "x") end)
try(function() table.sort({ 1, 2 }, {}) end)
try(function() table.sort(nil) end)
try(function() table.sort() end)
