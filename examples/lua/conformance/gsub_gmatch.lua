-- string.gsub in all forms, string.gmatch with positions.
local function try(f) print(select(2, pcall(f))) end

print(("hello"):gsub("l", "L"))
print(("hello"):gsub("l", "L", 1))
print(("hello"):gsub("l", "L", 0))
print(("hello"):gsub("l", "L", -1))
print(("hello"):gsub("", "-"))
print(("hello"):gsub("x*", "-"))
print(("hello"):gsub(".", "%0%0"))
print(("hello"):gsub("(.)(.)", "%2%1"))
print(("hello"):gsub("l+", "<%0>"))
print(("hello"):gsub("(l)(l)", "%1|%2|%0"))
print(("hello"):gsub("l", "%%"))
print(("hello"):gsub("^h", "H"))
print(("hhh"):gsub("^h", "H"))
print(("hello"):gsub("o$", "O"))
print(("hello"):gsub("()", "%1"))
print(("abc"):gsub("%w", "%0,"))
print((""):gsub("", "x"))
print((""):gsub(".", "x"))
print(("a b c"):gsub("%s", ""))
print(("a\0b"):gsub("%z", "0"))
print(("abc"):gsub("b", "\0"):byte(1, -1))

print(("$name is $age"):gsub("%$(%w+)", { name = "Ann", age = 42 }))
print(("$name is $what"):gsub("%$(%w+)", { name = "Ann" }))
print(("a b"):gsub("%w", { a = false, b = "B" }))
print(("x"):gsub("x", { x = 1.5 }))
print(("ab"):gsub("(a)(b)", { a = "first" }))
print(("ab"):gsub("()", { "one", "two", "three" }))
print(("key"):gsub("%w+", setmetatable({}, { __index = function(_, k) return k:upper() end })))

print(("hello world"):gsub("%w+", function(w) return w:reverse() end))
print(("hello world"):gsub("%w+", function() end))
print(("hello world"):gsub("%w+", function() return false end))
print(("hello world"):gsub("(%w)(%w*)", function(a, b) return a:upper() .. b end))
print(("1 2 3"):gsub("%d", function(d) return d * 2 end))
print(("1 2 3"):gsub("%d", function(d) return d + 0.5 end))
print(("abc"):gsub("()(.)", function(p, c) return p .. c end))
print(("f(1,2)"):gsub("%b()", function(s) return #s end))

local calls = 0
print(("aaaa"):gsub("a", function() calls = calls + 1; return calls end, 3), calls)

-- Nested gsub and recursion.
local function expand(s, depth)
  return (s:gsub("%b{}", function(inner) return depth .. expand(inner:sub(2, -2), depth + 1) end))
end
print(expand("a{b{c}d{e{f}}}g{}", 1))

try(function() return string.gsub() end)
try(function() return string.gsub("x") end)
try(function() return string.gsub("x", "x") end)
try(function() return string.gsub("x", "x", nil) end)
try(function() return string.gsub("x", "x", true) end)
try(function() return string.gsub("x", "x", "%2") end)
try(function() return string.gsub("x", "x", "%a") end)
try(function() return string.gsub("x", "x", "%") end)
try(function() return string.gsub("x", "(x", "y") end)
try(function() return string.gsub("x", "x", function() return {} end) end)
try(function() return string.gsub("x", "x", { x = true }) end)
try(function() return string.gsub("x", "x", function() error("inside", 0) end) end)
try(function() return string.gsub("x", "x", "y", {}) end)

-- gmatch.
for w in ("one two  three"):gmatch("%a+") do io.write("[", w, "]") end
print()
for k, v in ("a=1,b=2"):gmatch("(%w)=(%w)") do io.write(k, v, " ") end
print()
for a, b in ("abc"):gmatch("()(.)") do io.write(a, b, " ") end
print()
for w in ("abc"):gmatch("") do io.write("[", w, "]") end
print()
for w in ("abcabc"):gmatch("a%w", 2) do io.write(w, " ") end
print()
for w in ("abcabc"):gmatch("%w", -2) do io.write(w, " ") end
print()
for w in ("abc"):gmatch("%w", 10) do io.write(w, " ") end
print(".")
for w in ("a,b,,c"):gmatch("([^,]*)") do io.write("[", w, "]") end
print()
local it = ("xy"):gmatch(".")
print(it(), it(), it(), type(it))
try(function() return string.gmatch("x") end)
try(function() return string.gmatch(nil, "x") end)
try(function() for _ in ("x"):gmatch("(") do end end)
