-- __call (also chained), __len, __concat results, __tostring, __name, __metatable,
-- and setmetatable / getmetatable themselves.
local function try(f) print(select(2, pcall(f))) end

local f = setmetatable({ n = 0 }, { __call = function(self, ...) self.n = self.n + 1; return self.n, select("#", ...), ... end })
print(f()); print(f(1, nil)); print((f("x")))
print(pcall(f, "p")); print(select("#", f(1, 2, 3)))
print(f { 1 } == 6, f "s")
local obj = { method = f }
print(obj.method(1)); print(obj:method() == 9)
local function tail() return f("tail") end
print(tail())

-- A callable whose __call is itself callable gets all the objects in front.
local inner = setmetatable({ name = "inner" }, { __call = function(...) return select("#", ...), (...).name, (select(2, ...)).name end })
local outer = setmetatable({ name = "outer" }, { __call = inner })
print(outer("arg"))

-- Callable objects where functions are expected.
print(("abc"):gsub("%w", function(c) return c .. c end))
print(select(2, pcall(string.gsub, "abc", "b", setmetatable({}, { __index = function(_, k) return k:upper() end }))))
local order = setmetatable({}, { __call = function(_, x, y) return x > y end })
local list = { 1, 3, 2 }
table.sort(list, function(x, y) return order(x, y) end)
print(table.concat(list, " "))
for i in setmetatable({}, { __call = function(_, _, i) i = (i or 0) + 1; if i < 4 then return i end end }) do io.write(i, " ") end
print()
print(coroutine.wrap(function(...) return f(...) end)("co"))

-- __len.
print(#setmetatable({ 1, 2 }, { __len = function() return 42 end }), #setmetatable({}, { __len = function() return "text", 2 end }), #setmetatable({}, { __len = function() end }))
try(function() return #setmetatable({}, { __len = function() error("len", 0) end }) end)

-- __tostring and __name.
print(tostring(setmetatable({}, { __tostring = function() return "shown" end })), setmetatable({}, { __tostring = function() return "printed" end }))
print((tostring(setmetatable({}, { __name = "My.Type" })):gsub("0x%x+", "ADDR")))
print((tostring(setmetatable({}, { __name = 5 })):gsub("0x%x+", "ADDR")))
try(function() return tostring(setmetatable({}, { __tostring = function() return 5 end })) end)
try(function() return tostring(setmetatable({}, { __tostring = function() return {} end })) end)
try(function() return tostring(setmetatable({}, { __tostring = function() end })) end)
try(function() return tostring(setmetatable({}, { __tostring = function() error("in tostring", 0) end })) end)
print(string.format("%s|%10s", setmetatable({}, { __tostring = function() return "fmt" end }), setmetatable({}, { __tostring = function() return "pad" end })))
try(function() return setmetatable({}, { __name = "My.Type" }) + 1 end)
try(function() return #setmetatable({}, { __name = "My.Type" }) < setmetatable({}, { __name = "My.Type" }) end)
try(function() return setmetatable({}, { __name = "My.Type" })() end)
try(function() return ("x"):rep(setmetatable({}, { __name = "My.Type" })) end)

-- __metatable hides and protects.
local protected = setmetatable({}, { __metatable = "locked" })
print(getmetatable(protected), getmetatable("x") == getmetatable(""), getmetatable("").__index == string, getmetatable({}), getmetatable(5), getmetatable(nil))
try(function() setmetatable(protected, {}) end)
print(getmetatable(setmetatable({}, { __metatable = false })))
local mt = {}
local t = {}
print(setmetatable(t, mt) == t, getmetatable(t) == mt, setmetatable(t, nil) == t, getmetatable(t))
try(function() setmetatable(5, {}) end)
try(function() setmetatable({}) end)
try(function() setmetatable({}, 5) end)
try(function() getmetatable() end)

-- Calls of what cannot be called.
try(function() local x = 5; x() end)
try(function() ({})() end)
try(function() setmetatable({}, { __call = 5 })() end)
try(function() return setmetatable({}, {})() end)

-- A table that is its own metatable.
local self = {}
self.__index = function(_, k) return k .. "?" end
self.__call = function(_, x) return x * 2 end
self.__add = function() return "self add" end
setmetatable(self, self)
print(self.anything, self(21), self + 1, rawget(self, "anything"))

-- __index on _ENV: strict globals.
local strict = setmetatable({}, { __index = function(_, k) error("undeclared " .. k, 0) end, __newindex = function(t, k, v) rawset(t, k, v) end })
local chunk = load("defined = 1; local ok = defined; return missing", "=strict", "t", strict)
print(pcall(chunk), rawget(strict, "defined"))

-- __concat with numbers and chains.
local C = setmetatable({}, { __concat = function(x, y) return (type(x) == "table" and "C" or x) .. "+" .. (type(y) == "table" and "C" or y) end })
print(C .. C, C .. 1 .. 2, 1 .. C, "a" .. "b" .. C .. "c" .. "d")
