-- __index and __newindex: tables, functions, chains, on non-tables, with rawset.
local function try(f) print(select(2, pcall(f))) end

-- Chains of tables.
local base = { kind = "base", shared = { 1, 2 } }
local mid = setmetatable({ name = "mid" }, { __index = base })
local leaf = setmetatable({}, { __index = mid })
print(leaf.kind, leaf.name, leaf.missing, leaf.shared == base.shared, rawget(leaf, "kind"))
leaf.kind = "leaf"
print(leaf.kind, mid.kind, base.kind)
base.late = "added later"
print(leaf.late)

-- Functions get the table and the key; only the first result counts.
local log = {}
local t = setmetatable({ present = 1 }, { __index = function(self, k) log[#log + 1] = tostring(k); return k, "dropped" end })
print(t.present, t.absent, t[1], t[1.5], t[true] == true, select("#", t.x), t["a b"])
print(table.concat(log, " "))
print(#t, next(t), rawget(t, "absent"))

-- __index of an __index: the function sees the table that has the metatable.
local inner = setmetatable({}, { __index = function(self, k) return tostring(self == inner_ref) .. k end })
inner_ref = inner
local outer = setmetatable({}, { __index = inner })
print(outer.key)
inner_ref = nil

-- __newindex as function: nothing is stored unless rawset.
local store = {}
local w = setmetatable({ old = 1 }, { __newindex = function(self, k, v) store[#store + 1] = tostring(k) .. "=" .. tostring(v) end })
w.old = 2; w.new = 3; w[1] = "a"; w.new = 4
print(w.old, w.new, w[1], table.concat(store, " "))
w.old = nil; w.old = 5
print(w.old, store[#store])

-- __newindex as table; chain of two.
local target = {}
local redirect = setmetatable({}, { __newindex = setmetatable({}, { __newindex = target }) })
redirect.x = 1
print(rawget(redirect, "x"), target.x, redirect.x)
redirect.y = nil
print(next(redirect))

-- Both: a proxy with defaults.
local function defaults(values) return setmetatable({}, { __index = values, __newindex = function(self, k, v) rawset(self, k, v == values[k] and nil or v) end }) end
local d = defaults { size = 10 }
d.size = 10; print(rawget(d, "size"), d.size)
d.size = 11; print(rawget(d, "size"), d.size)
d.size = nil; print(d.size)

-- Numeric keys and the array part behave the same.
local arr = setmetatable({ 1, 2, 3 }, { __index = function(_, i) return i * 100 end, __newindex = function(a, i, v) rawset(a, i, v + 1) end })
print(arr[1], arr[4], arr[0], arr[-1]); arr[4] = 40; arr[1] = 10
print(arr[4], arr[1], #arr)

-- Indexing through metatables of other types: strings.
print(("abc").len == string.len, ("abc").x, #("abc"):rep(2), ("x")["upper"]("y"))
string.shout = function(s) return s:upper() .. "!" end
print(("hey"):shout())
string.shout = nil

-- Inheritance with methods and super calls.
local Animal = {} Animal.__index = Animal
function Animal.new(name) return setmetatable({ name = name }, Animal) end
function Animal:speak() return self.name .. " makes a sound" end
function Animal:rename(n) self.name = n; return self end
local Dog = setmetatable({}, { __index = Animal }) Dog.__index = Dog
function Dog.new(name) local d = Animal.new(name); return setmetatable(d, Dog) end
function Dog:speak() return Animal.speak(self) .. ": woof" end
print(Animal.new("Cat"):speak(), Dog.new("Rex"):speak(), Dog.new("Rex"):rename("Max"):speak())

-- Metamethods are looked up raw: an inherited metamethod does not count.
local mt = setmetatable({}, { __index = { __index = { x = 1 }, __call = function() return "called" end } })
local raw = setmetatable({}, mt)
print(raw.x, mt.__index ~= nil, pcall(function() return raw() end) == false)

-- Changing a metatable while in use; adding a metamethod later.
local change = setmetatable({}, { __index = function() return "one" end })
print(change.x)
getmetatable(change).__index = function() return "two" end
print(change.x)
setmetatable(change, nil)
print(change.x, getmetatable(change))
local m = {}
local added = setmetatable({}, m)
print(added.x); m.__index = { x = "late" }; print(added.x); m.__index = nil; print(added.x)
m.__newindex = function() error("read only", 0) end
try(function() added.y = 1 end)

-- Fields written by compound statements through __index and __newindex.
local counter = setmetatable({}, { __index = function() return 0 end })
counter.a = counter.a + 1; counter.a = counter.a + 1; counter.b = counter.b + 5
print(counter.a, counter.b, counter.c)

-- Loops in the chain are an error.
local loop = {}
setmetatable(loop, { __index = loop })
try(function() return loop.x end)
local loop2 = setmetatable({}, {})
getmetatable(loop2).__newindex = loop2
try(function() loop2.x = 1 end)

-- Errors inside and __index of a wrong type.
try(function() return setmetatable({}, { __index = function() error("inside", 0) end }).x end)
try(function() return setmetatable({}, { __index = 5 }).x end)
try(function() return setmetatable({}, { __index = true }).x end)
try(function() setmetatable({}, { __newindex = 5 }).x = 1 end)
print(setmetatable({}, { __index = "abc" }).len == string.len)
