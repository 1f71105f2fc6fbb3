-- Run-time error messages name the kind of operation, the type of the value, and the
-- variable that held it.
local function try(f) print(select(2, pcall(f))) end

-- Indexing.
try(function() local x; return x.field end)
try(function() local x; x.field = 1 end)
try(function() local x = 5; return x.a.b end)
try(function() local t = {}; return t.a.b end)
try(function() local t = { a = {} }; return t.a.b.c end)
try(function() local t = {}; t.x.y = 1 end)
try(function() return undefined_global.x end)
try(function() undefined_global.x = 1 end)
try(function() return undefined_global[1] end)
try(function() local t, k = {}, "key"; return t[k].x end)
try(function() return (nil).x end)
try(function() return (1).x end)
try(function() return (true)[1] end)
try(function() local f = print; return f.x end)
try(function() local s = "str"; return s.x.y end)
try(function() local s = "str"; s.x = 1 end)
try(function() local a, b = nil, "k"; return a[b] end)

-- Upvalues.
local up
try(function() return up.x end)
try(function() up.x = 1 end)
try(function() return up() end)
try(function() return up + 1 end)
try(function() return up .. "x" end)
try(function() return #up end)

-- Calls.
try(function() local f; f() end)
try(function() undefined_function() end)
try(function() local t = {}; t.method() end)
try(function() local t = {}; t:method() end)
try(function() local t = { a = {} }; t.a.b() end)
try(function() local t = {}; t.x.y() end)
try(function() (1)() end)
try(function() local s = "x"; s:nomethod() end)
try(function() local n = 5; n:method() end)
try(function() string.nothing() end)
try(function() math.pi() end)
try(function() return (function() end)()() end)

-- Arithmetic.
try(function() local a; return a + 1 end)
try(function() local a; return 1 + a end)
try(function() local a, b = 1; return a + b end)
try(function() local t = {}; return t.x * 2 end)
try(function() local t = {}; return 2 - t.x end)
try(function() return undefined_global / 2 end)
try(function() local a = {}; return a % 2 end)
try(function() local a = true; return a ^ 2 end)
try(function() local a = print; return a // 2 end)
try(function() local a; return -a end)
try(function() local t = { n = {} }; return -t.n end)
try(function() local t = {}; t.count = t.count + 1 end)
try(function() local x = 1; return x + undefined_global end)
try(function() return 1 + nil end)
try(function() return {} + {} end)
try(function() return 1 // 0 end)
try(function() return 1 % 0 end)
try(function() local z = 0; return 5 // z end)
try(function() local z = 0; return 5 % z end)
try(function() return math.mininteger // 0 end)

-- Bitwise.
try(function() local a; return a & 1 end)
try(function() local t = {}; return t.x | 1 end)
try(function() local b = {}; return ~b end)
try(function() local a, one = 1.5, 1; return (a + 0) & one end)

-- Concatenation.
try(function() local s; return s .. "x" end)
try(function() local s; return "x" .. s end)
try(function() local t = {}; return "x" .. t.name end)
try(function() local t = {}; return t.name .. "x" end)
try(function() return "x" .. undefined_global end)
try(function() local a, b, c = "a", nil, "c"; return a .. b .. c end)
try(function() return "x" .. {} end)
try(function() local b = true; return 1 .. b end)
try(function() local f = print; return f .. "" end)

-- Length.
try(function() local x; return #x end)
try(function() local t = {}; return #t.items end)
try(function() return #undefined_global end)
try(function() return #5 end)
try(function() local n = 5; return #n end)
try(function() local f = print; return #f end)

-- Comparison.
try(function() return 1 < nil end)
try(function() return nil < nil end)
try(function() return {} < {} end)
try(function() return "a" < 1 end)
try(function() return 1 <= "a" end)
try(function() return print > print end)
try(function() return {} >= 1 end)
try(function() local a, b = 1, nil; if a > b then end end)
try(function() local a, b = {}, 1; while a <= b do end end)

-- Deep inside expressions and nested functions.
try(function() local t = { { {} } }; return t[1][1].x.y end)
try(function() local cfg = { db = {} }; return cfg.db.host:upper() end)
try(function() local list = { 1, 2, "x", {} }; local sum = 0; for _, v in ipairs(list) do if type(v) ~= "string" then sum = sum + v end end end)
try(function() local function helper(p) return p.value end; return helper(nil) end)
try(function() local function helper(...) local a = ...; return a.value end; return helper() end)
try(function() local obj = { inner = { run = function(self) return self.missing.x end } }; return obj.inner:run() end)

-- Multiple assignment, method calls on results, for loops.
try(function() local a, b = {}, nil; a.x, b.y = 1, 2 end)
try(function() return tostring(nil).x.y end)
try(function() for i = 1, #nil do end end)
try(function() for _, v in ipairs({ 1 }) do v.x = 1 end end)
