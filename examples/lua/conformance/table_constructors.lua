-- Table constructors in every form, the length operator, and access.
local function list(t, n)
  local parts = {}
  for i = 1, n or #t do parts[i] = tostring(t[i]) end
  return table.concat(parts, " ")
end
local function three() return 1, 2, 3 end
local function none() end

print(#{}, #{ 1 }, #{ 1, 2, 3 }, #{ 1, 2, 3, }, #{ 1; 2, 3; }, #{ n = 1 }, #{ [1] = "a", [2] = "b" })
print(list { three() }, list { three(), three() }, list { (three()) }, list { three(), 4 }, list { 0, three() })
print(#{ none() }, #{ none(), none() }, #{ none(), 1 }, list({ none(), 1 }, 2), #{ (none()) })
print(list { 1, 2, [1] = "x", [3] = 3 }, ({ 1, [1] = "x" })[1], ({ "a", "b", [2] = "c" })[2])
print(({ x = 1, x = 2 }).x, ({ ["x y"] = 5 })["x y"], ({ [1.0] = 1, [2.5] = 2 })[1], ({ [true] = "t", [print] = "p" })[true])

local key = "dynamic"
local t = { [key] = 1, key = 2, [key .. "2"] = 3, [1 + 1] = 4, "first", nested = { a = { b = { c = "deep" } } } }
print(t.dynamic, t.key, t.dynamic2, t[2], t[1], t.nested.a.b.c, t.nested["a"]["b"].c, t.missing, t[nil])

-- Order of evaluation in a constructor is left to right.
local order = {}
local function mark(v) order[#order + 1] = v; return v end
local _ = { mark(1), [mark(2)] = mark(3), x = mark(4), mark(5) }
print(table.concat(order, " "))

-- Many items: more than one batch of the array-setting instruction.
local parts = {}
for i = 1, 250 do parts[i] = tostring(i * i) end
local big = load("return {" .. table.concat(parts, ",") .. "}")()
local sum = 0
for i, v in ipairs(big) do sum = sum + i * v end
print(#big, sum, big[50], big[51], big[100], big[101], big[250])
big = load("return {" .. table.concat(parts, ",") .. ", ...}")("x", "y")
print(#big, big[250], big[251], big[252])
for i = 1, 300 do parts[i] = "k" .. i .. "=" .. i end
big = load("return {" .. table.concat(parts, ";", 1, 300) .. "}")()
print(big.k1, big.k150, big.k300, #big)

-- Varargs in constructors.
local function pack(...) return { ... }, { ..., "last" }, { (...) }, { "first", ... }, select("#", ...) end
local a, b, c, d, n = pack(1, nil, 3)
print(a[1], a[2], a[3], list(b, 3), #c, list(d, 4), n)

-- Borders with a unique answer.
local s = {}
for i = 1, 100 do s[i] = i end
for i = 100, 51, -1 do s[i] = nil end
print(#s)
for i = 51, 1000 do s[#s + 1] = i end
print(#s, s[1000])
while #s > 3 do s[#s] = nil end
print(#s, list(s))
local holes = { n = 0 }
holes[1], holes[2], holes[3] = "a", "b", "c"
holes[#holes + 1] = "d"
print(#holes, holes[4])

-- Negative, zero, huge, float and mixed keys.
local m = {}
m[0], m[-1], m[1 << 40], m[math.maxinteger], m[math.mininteger], m[0.5], m["1"], m[1] = 1, 2, 3, 4, 5, 6, 7, 8
print(m[0], m[-1], m[1 << 40], m[math.maxinteger], m[math.mininteger], m[0.5], m["1"], m[1], m[1.0], m[2 ^ 40], #m)
m[math.maxinteger + 1.0] = "float key"
print(m[2 ^ 63], m[math.maxinteger])

-- Tables, functions, booleans and coroutines as keys.
local k1, k2, co = {}, {}, coroutine.create(print)
local w = { [k1] = 1, [k2] = 2, [co] = 3, [print] = 4, [false] = 5, [io.stdout] = 6 }
print(w[k1], w[k2], w[co], w[print], w[false], w[io.stdout], w[{}], w[true])

print(pcall(function() t[nil] = 1 end))
print(pcall(function() return { [nil] = 1 } end))
print(pcall(function() return { [0 / 0] = 1 } end))

-- Assignment inside traversal order: multiple assignment evaluates first.
local i, arr = 1, {}
i, arr[i] = i + 1, 20
print(i, arr[1], arr[2])
local x, y = 1, 2
x, y = y, x
print(x, y)
local p = { 1, 2, 3 }
p[1], p[2], p[3] = p[3], p[1], p[2]
print(list(p))
do
  local a = {}
  a.x, a.y, a.z = 1, 2
  print(a.x, a.y, a.z)
  local function f() return 7, 8, 9 end
  a.x, a.y = f()
  a.z, a.w = (f())
  print(a.x, a.y, a.z, a.w)
end
