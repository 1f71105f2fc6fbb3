-- Loops over one operation each: micro.lua CASE ITERATIONS
-- `compare.sh` runs every case with two numbers of iterations; the difference of the instruction counts
-- is what the iterations cost. Without arguments: the names of all cases, in order.
local cases, names = {}, {}

local function case(name, run)
    names[#names + 1] = name
    cases[name] = run
end

-- ---- loops and operators ----
case("for", function(n) for _ = 1, n do end end)
case("while", function(n) local i = 0 while i < n do i = i + 1 end end)
case("add", function(n) local x = 0 for i = 1, n do x = x + i end return x end)
case("float", function(n) local x, d = 1.0, 1.0000001 for _ = 1, n do x = x * d end return x end)
case("eq", function(n) local c, s, t = 0, {}, {} for _ = 1, n do if s == t then c = c + 1 end end return c end)

-- ---- variables ----
global = 0
case("global", function(n) for _ = 1, n do global = global + 1 end end)
local shared = 0
case("upvalue", function(n) for _ = 1, n do shared = shared + 1 end end)

-- ---- tables ----
case("getfield", function(n) local o, x = { n = 1 } for _ = 1, n do x = o.n end return x end)
case("setfield", function(n) local o = { n = 1 } for i = 1, n do o.n = i end end)
case("getindex", function(n)
    local t, x = { 1, 2, 3, 4, 5, 6, 7, 8 }
    for i = 1, n do x = t[(i & 7) + 1] end
    return x
end)
case("setindex", function(n)
    local t = { 1, 2, 3, 4, 5, 6, 7, 8 }
    for i = 1, n do t[(i & 7) + 1] = i end
end)
case("append", function(n) local t = {} for i = 1, n do t[#t + 1] = i end end)
case("from0", function(n) local t = {} for i = 0, n do t[i] = i end local x for i = 0, n do x = t[i] end return x end)
case("reverse", function(n) local t = {} for i = n, 1, -1 do t[i] = i end end)
case("floatkey", function(n) local t, x = { [0.5] = 1 } for _ = 1, n do x = t[0.5] end return x end)
case("queue", function(n)
    local q, first, last = {}, 1, 0
    for i = 1, n do
        last = last + 1
        q[last] = i
        if last - first > 100 then
            q[first] = nil
            first = first + 1
        end
    end
end)

-- ---- allocation ----
case("empty", function(n) for _ = 1, n do local _ = {} end end)
case("pair", function(n) for i = 1, n do local _ = { i, i } end end)
case("point", function(n) for i = 1, n do local _ = { x = i, y = i } end end)
case("object", function(n)
    local class = { __index = {} }
    for i = 1, n do
        local o = setmetatable({}, class)
        o.a, o.b, o.c = i, i, i
    end
end)
case("closure", function(n) for i = 1, n do local _ = function() return i end end end)
case("concat", function(n) for i = 1, n do local _ = "k" .. i end end)

-- ---- calls ----
local function nothing() end
local function identity(x) return x end
local object = setmetatable({ n = 1 }, { __index = { get = function(self) return self.n end } })
object.own = identity
case("call0", function(n) for _ = 1, n do nothing() end end)
case("call1", function(n) local x for i = 1, n do x = identity(i) end return x end)
case("method", function(n) local o, x = object for _ = 1, n do x = o:get() end return x end)
case("native", function(n) local abs, x = math.abs for i = 1, n do x = abs(i) end return x end)
case("vararg", function(n) local function f(...) return ... end for i = 1, n do f(i, i) end end)
case("pcall", function(n) for i = 1, n do pcall(identity, i) end end)
case("fib", function(n)
    local function fib(k) if k < 2 then return k end return fib(k - 1) + fib(k - 2) end
    for _ = 1, n // 1000 do fib(15) end
end)
case("coroutine", function(n)
    local resume = coroutine.wrap(function() while true do coroutine.yield() end end)
    for _ = 1, n do resume() end
end)
case("threads", function(n) for _ = 1, n do coroutine.wrap(nothing)() end end)

-- ---- metamethods and callbacks ----
local number = {}
number.__index = function(_, key) return key end
number.__add = function(a) return a end
number.__eq = function() return true end
number.__lt = function() return true end
local one, two = setmetatable({}, number), setmetatable({}, number)
case("mm_index", function(n) local x for _ = 1, n do x = one.field end return x end)
case("mm_add", function(n) local x for _ = 1, n do x = one + two end return x end)
case("mm_eq", function(n) local x for _ = 1, n do x = one == two end return x end)
case("mm_lt", function(n) local x for _ = 1, n do x = one < two end return x end)
case("sort", function(n)
    for _ = 1, n // 1000 do
        local t, seed = {}, 42
        for i = 1, 100 do
            seed = (seed * 1103515245 + 12345) % 2147483648
            t[i] = seed
        end
        table.sort(t, function(a, b) return a < b end)
    end
end)
case("gsub", function(n)
    for _ = 1, n // 100 do string.gsub("a b c d e f g h i j", "%a", function(c) return c end) end
end)

-- ---- iteration ----
local hundred = {}
for i = 1, 100 do hundred[i] = i end
case("pairs", function(n) for _ = 1, n // 100 do for _ in pairs(hundred) do end end end)
case("ipairs", function(n) for _ = 1, n // 100 do for _ in ipairs(hundred) do end end end)

if arg[1] then
    cases[arg[1]](math.tointeger(arg[2]))
else
    print(table.concat(names, " "))
end
