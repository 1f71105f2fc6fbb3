-- __eq, __lt, __le: when they are asked, and what becomes of their results.
local function try(f) print(select(2, pcall(f))) end

local log = {}
local mt = {
  __eq = function(a, b) log[#log + 1] = "eq"; return a.v == b.v end,
  __lt = function(a, b) log[#log + 1] = "lt"; return (type(a) == "table" and a.v or a) < (type(b) == "table" and b.v or b) end,
  __le = function(a, b) log[#log + 1] = "le"; return (type(a) == "table" and a.v or a) <= (type(b) == "table" and b.v or b) end,
}
local function n(v) return setmetatable({ v = v }, mt) end
local a, b, c = n(1), n(2), n(1)

print(a == b, a == c, a ~= b, a ~= c, a == a, rawequal(a, c))
print(a < b, b < a, a <= c, a > b, a >= c, b >= a)
print(a < 5, 5 < a, a <= 1, 1 >= a, 0 > a)
print(a == 1, 1 == a, a == "x", a == nil, a ~= print)
print(table.concat(log, " "))

-- __eq is asked of the first operand, then of the second, only for two tables.
local left = setmetatable({}, { __eq = function() return "left" end })
local right = setmetatable({}, { __eq = function() return false end })
local plain = {}
print(left == right, right == left, left == plain, plain == left, plain == right, left ~= plain, plain == {})

-- Results are turned into booleans; no result counts as false.
local result
local r = setmetatable({}, { __eq = function() return result end, __lt = function() return result end, __le = function() return result end })
for _, v in ipairs { 1, "x", 0, true } do result = v; io.write(tostring(r == {}), tostring(r < 1), tostring(r <= 1), tostring(r > 1), tostring(r ~= {}), " ") end
result = nil; print(r == {}, r < 1, r >= 1, not (r < 1))
result = false; print(r == {}, r < 1, r ~= {})

-- In conditions of every kind.
result = true
if r == {} then io.write("if ") end
if not (r ~= {}) then io.write("unless ") end
local turns = 0
while r < 1 do turns = turns + 1; if turns == 3 then result = false end end
print(turns, r < 1 or "or", r <= 1 and "and")
if r > 1 then print("no") else print("else") end

-- __le is not derived from __lt.
local only_lt = setmetatable({}, { __lt = function() return true end })
print(only_lt < only_lt, only_lt > only_lt)
try(function() return only_lt <= only_lt end)
try(function() return only_lt >= 1 end)

-- Sets ordered by inclusion: a partial order.
local Set = {}
Set.__index = Set
local function set(...) local s = setmetatable({}, Set); for _, v in ipairs { ... } do s[v] = true end; return s end
Set.__le = function(x, y) for k in pairs(x) do if not y[k] then return false end end; return true end
Set.__lt = function(x, y) return x <= y and not (y <= x) end
Set.__eq = function(x, y) return x <= y and y <= x end
Set.__len = function(x) local count = 0; for _ in pairs(x) do count = count + 1 end; return count end
local s1, s2, s3 = set(1, 2), set(1, 2, 3), set(2, 1)
print(s1 <= s2, s1 < s2, s2 <= s1, s1 == s3, s1 ~= s2, s1 >= s3, s1 > s3, #s1, #s2)

-- Strings and numbers never ask; mixed types ask when one side has the metamethod.
print(1 < 2, "a" < "b", pcall(function() return a < "x" end) == false)
try(function() return a < "x" end)
try(function() return {} < {} end)
try(function() return {} <= 1 end)
try(function() return plain < setmetatable({}, {}) end)
try(function() return r < error("operand", 0) end)
try(function() return setmetatable({}, { __lt = function() error("in lt", 0) end }) < 1 end)
try(function() return setmetatable({}, { __eq = function() error("in eq", 0) end }) == {} end)

-- Table keys ignore __eq.
local keyed = { [a] = "a" }
print(keyed[a], keyed[c], keyed[n(1)])
