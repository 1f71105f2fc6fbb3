-- next, pairs, ipairs, rawget, rawset, rawlen, rawequal; traversal while fields are
-- cleared or changed.
local function try(f) print(select(2, pcall(f))) end

-- Every pair is visited exactly once.
local t = { 10, 20, 30, x = 1, y = 2, [1.5] = 3, [-1] = 4, [true] = 5 }
local count, sum = 0, 0
for k, v in pairs(t) do count = count + 1; sum = sum + v end
print(count, sum)

count = 0
local k, v = next(t)
while k ~= nil do count = count + 1; k, v = next(t, k) end
print(count, next({}), next({}, nil), type(next), rawequal(pairs(t), next))

-- The array part comes in order when it is a pure sequence.
for i, x in pairs { "a", "b", "c" } do io.write(i, x, " ") end
print()

-- Clearing and assigning existing fields during traversal is allowed.
local big = {}
for i = 1, 500 do big["k" .. i] = i; big[i] = -i end
local seen = 0
for key in pairs(big) do seen = seen + 1; big[key] = nil end
print(seen, next(big))
for i = 1, 100 do big[i * 3] = i end
sum = 0
for key, value in pairs(big) do big[key] = value * 2; sum = sum + big[key] end
print(sum)

-- next after the key was cleared.
local u = { a = 1, b = 2, c = 3, d = 4 }
local visited = 0
local key = next(u)
while key do
  u[key] = nil
  visited = visited + 1
  key = next(u, key)
end
print(visited, next(u))

-- ipairs stops at the first nil and honours __index.
for i, x in ipairs { 1, 2, nil, 4 } do io.write(i, "=", x, " ") end
print()
for i, x in ipairs(setmetatable({ "a" }, { __index = function(_, i) if i < 5 then return "v" .. i end end })) do io.write(i, x, " ") end
print()
for i in ipairs {} do print("never", i) end
local f, s, init = ipairs { 1 }
print(type(f), type(s), init, f(s, 0), f(s, 1))
local arr = { 1, 2, 3 }
for i, x in ipairs(arr) do
  if i < 6 then arr[#arr + 1] = x * 10 end
end
print(#arr, arr[4], arr[8])

-- pairs with __pairs.
local ordered = setmetatable({ b = 2, a = 1, c = 3 }, {
  __pairs = function(self)
    local keys = { "a", "b", "c" }
    local i = 0
    return function()
      i = i + 1
      if keys[i] then return keys[i], self[keys[i]] end
    end, self, nil
  end,
})
for name, value in pairs(ordered) do io.write(name, value, " ") end
print()
print(select("#", pairs(setmetatable({}, { __pairs = function() return 1, 2, 3, 4 end }))), pairs(setmetatable({}, { __pairs = function() return 1 end })))

-- Raw access.
local meta = setmetatable({}, {
  __index = function() return "index" end,
  __newindex = function() error("no") end,
  __len = function() return 99 end,
  __eq = function() return true end,
})
print(meta.x, rawget(meta, "x"), rawset(meta, "x", 5) == meta, meta.x, #meta, rawlen(meta), rawlen("abc"), rawequal(meta, {}), meta == setmetatable({}, getmetatable(meta)), rawequal(meta, meta), rawequal("a", "a"), rawequal(1, 1.0))
print(rawget({ 5 }, 1), rawget({ 5 }, 1.0), rawget({}, nil), rawlen { 1, 2 })

try(function() next() end)
try(function() next(5) end)
try(function() pairs() end)
try(function() pairs(nil) end)
try(function() for _ in pairs(nil) do end end)
try(function() ipairs() end)
try(function() rawget(1, 2) end)
try(function() rawset({}, 1) end)
try(function() rawset("x", 1, 2) end)
try(function() rawlen(5) end)
try(function() rawequal(1) end)
