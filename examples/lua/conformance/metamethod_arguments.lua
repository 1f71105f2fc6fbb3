-- The arguments that each metamethod gets.
local function names(...)
  local list = table.pack(...)
  for i = 1, list.n do
    local value = list[i]
    list[i] = type(value) == "table" and getmetatable(value).name or tostring(value)
  end
  return table.concat(list, " ")
end
local function object(name)
  local mt = { name = name }
  for _, event in ipairs {
    "add", "sub", "mul", "div", "mod", "pow", "unm", "idiv", "band", "bor", "bxor", "shl", "shr",
    "bnot", "concat", "len", "eq", "lt", "le", "index", "newindex", "call", "tostring", "pairs",
  } do
    mt["__" .. event] = function(...)
      print(event, select("#", ...), names(...))
      return event == "tostring" and name or event == "len" and 2 or nil
    end
  end
  return setmetatable({}, mt)
end
local a, b = object("a"), object("b")
local _ = -a, ~a, #a, a .. b, a .. "x", "x" .. a, a + b, a - 1, 1 - a, a * b, a / 2, 2 // a, a % b
_ = a ^ b, a & 1, 1 | a, a ~ b, a << 1, 1 >> a
_ = a == b, a ~= b, a < b, a <= b, a > b, a >= b, a < 1, 1 <= a
_ = a.x, a[1], a.y
a.x = 1
a[1] = nil
a(1, 2)
_ = tostring(a)
for _ in pairs, a do break end
-- Those that library functions call.
print(pcall(table.unpack, a))
print(pcall(table.concat, a))
print(pcall(table.insert, a, 1))
print(pcall(table.remove, a))
print(pcall(table.move, a, 1, 2, 3))
print(select("#", ipairs(a)))
for _ in ipairs(a) do end
print(pcall(string.format, "%s", a))
print(pcall(print, a))
print((string.gsub("abc", "b", a)))
print(pcall(next, a), pcall(rawlen, a), pcall(rawequal, a, b))
