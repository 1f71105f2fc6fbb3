-- Arithmetic and bitwise metamethods: which operand decides, results, mixes with
-- numbers and strings, unary operators, errors.
local function try(f) print(select(2, pcall(f))) end
local function text(v) return type(v) == "table" and v.name or tostring(v) end

local mt = {}
for _, event in ipairs { "add", "sub", "mul", "div", "mod", "pow", "idiv", "band", "bor", "bxor", "shl", "shr", "concat" } do
  mt["__" .. event] = function(a, b) return event .. "(" .. text(a) .. "," .. text(b) .. ")", "dropped" end
end
for _, event in ipairs { "unm", "bnot", "len" } do
  mt["__" .. event] = function(a, b) return event .. "(" .. text(a) .. "," .. tostring(rawequal(a, b)) .. ")" end
end
local a, b = setmetatable({ name = "a" }, mt), setmetatable({ name = "b" }, mt)

print(a + b, a - b, a * b, a / b, a % b, a ^ b, a // b)
print(a & b, a | b, a ~ b, a << b, a >> b)
print(a + 1, 1 + a, a - 1.5, 1.5 - a, a * "x", "x" * a, a / nil, nil / a, a % true, true % a)
print(a & 1, 1 & a, a | "x", "x" | a, a << 2.5, 2.5 << a, a ~ nil, nil ~ a, a >> "1")
print(-a, ~a)
print(a .. b, a .. "s", "s" .. a, a .. 1, 1 .. a, "x" .. "y" .. a, a .. "x" .. "y", 1 .. 2 .. a .. 3 .. 4)
print(a + b .. "|", a ^ 2 .. "|" .. 2 ^ a, -a .. "x", -(a ^ 2 == nil and a or b), (a * 2 == nil) == false)

-- The left operand is asked first.
local other = setmetatable({ name = "other" }, { __add = function() return "other's add" end, __concat = function() return "other's concat" end })
print(a + other, other + a, a .. other, other .. a, other + 1, 1 + other, a - other, other - a)
local silent = setmetatable({ name = "silent" }, {})
print(silent + a, a + silent, silent .. a, silent & a)

-- The result may be anything; metamethods may be callable tables.
local odd = setmetatable({}, { __add = function() end, __sub = function() return nil end, __mul = function() return false end,
  __div = setmetatable({}, { __call = function(self, x, y) return "callable " .. tostring(y) end }) })
print(odd + 1, odd - 1, odd * 1, odd / 1, select("#", odd + 1))

-- A number type with all operators.
local Vec = {} Vec.__index = Vec
local function vec(x, y) return setmetatable({ x = x, y = y }, Vec) end
Vec.__add = function(p, q) return vec(p.x + q.x, p.y + q.y) end
Vec.__sub = function(p, q) return vec(p.x - q.x, p.y - q.y) end
Vec.__mul = function(p, q)
  if type(p) == "number" then return vec(p * q.x, p * q.y) end
  if type(q) == "number" then return vec(p.x * q, p.y * q) end
  return p.x * q.x + p.y * q.y
end
Vec.__unm = function(p) return vec(-p.x, -p.y) end
Vec.__eq = function(p, q) return p.x == q.x and p.y == q.y end
Vec.__tostring = function(p) return "(" .. p.x .. ", " .. p.y .. ")" end
Vec.__idiv = function(p, n) return vec(p.x // n, p.y // n) end
Vec.__mod = function(p, n) return vec(p.x % n, p.y % n) end
local p, q = vec(1, 2), vec(3, -4)
print(tostring(p + q), tostring(p - q), p * q, tostring(2 * p), tostring(q * 2), tostring(-q), tostring(q // 3), tostring(q % 3))
print(p + q == vec(4, -2), p ~= vec(1, 2), tostring(p * 2 + q * -1 - vec(1, 1)))

-- Accumulate through a loop.
local acc = vec(0, 0)
for i = 1, 100 do acc = acc + vec(i, -i) * (i % 3) end
print(tostring(acc))

-- Strings with arithmetic on the other side still prefer the table's metamethod.
print("10" + a, a + "10", "abc" - b)

-- Errors.
local plain = {}
try(function() return plain + 1 end)
try(function() return 1 - plain end)
try(function() return silent * 2 end)
try(function() return -plain end)
try(function() return ~plain end)
try(function() return plain & 1 end)
try(function() return 1.5 | plain end)
try(function() return plain .. "x" end)
try(function() return a + error("operand", 0) end)
try(function() return setmetatable({}, { __add = function() error("in metamethod", 0) end }) + 1 end)
try(function() return setmetatable({}, { __add = 5 }) + 1 end)
try(function() return setmetatable({}, { __unm = {} }) , -setmetatable({}, { __unm = {} }) end)
