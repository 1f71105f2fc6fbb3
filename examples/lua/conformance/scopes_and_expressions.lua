-- Blocks, scopes, shadowing, globals, logical operators, precedence, and <const>.
local a = 1
do local a = 2; do local a = 3; print(a) end; print(a) end
print(a)
if true then local a = "if"; print(a) elseif a then print("no") else print("no") end
while true do local a = "while"; print(a); break end
for a = 5, 5 do print(a) end
repeat local a = "repeat"; print(a) until a == "repeat"
print(a)

-- Globals live in _G and _ENV.
global_name = "g"
print(_G.global_name, _ENV.global_name, _G == _ENV, _G._G == _G, undefined_global)
_G["strange name"] = 5
print(_G["strange name"], rawget(_G, "global_name"))
global_name = nil
print(global_name)

local function with_env()
  local _ENV = { print = print, x = "inner" }
  print(x, y)
  y = 5
  return _ENV
end
print(with_env().y, y)
local function env_param(_ENV) z = 10; return z + w end
local e = { w = 1 }
print(env_param(e), e.z, z)
do
  local _ENV <const> = { print = print }
  v = 1
  print(v)
end
print(v)

-- and, or, not: values and short circuits.
print(1 and 2, nil and 1, false and 1, 1 or 2, nil or 1, false or nil, nil and nil, false or false)
print(not 0, not "", not nil, not false, not not 1, 1 and nil or 3, false == nil)
local calls = {}
local function note(v, name) calls[#calls + 1] = name; return v end
local _ = note(false, "a") and note(true, "b")
_ = note(true, "c") or note(true, "d")
_ = note(nil, "e") or note(false, "f") and note(1, "g") or note(2, "h")
print(table.concat(calls, " "), _)
print(1 and 2 or error("no"), nil and error("no"), 1 == 1 and "eq" or "ne")
print(1 < 2 and 2 < 3, 1 > 2 or 3 > 2, not (1 > 2), not 1 == 2, not (1 == 2))
local x = nil
print(x and x.y, x == nil and "none" or x.y, (x or {}).y)
print(1 .. 2 == "12", "a" .. "b" == "ab" and "yes", -2 ^ 2, 2 ^ -2, not nil and 1, #"abc" + 1, -"2" + 0, -2 .. "x")
print(2 + 3 .. 4 + 5, 2 ^ 3 ^ 2, 1 .. 2 .. 3, (1 .. 2) + 3, 7 // 2 * 2 + 7 % 2, 1 << 2 + 1, 5 & 6 | 1 ~ 8, "b" > "a" == true)

-- while, repeat, nested breaks, numeric conditions.
local n = 0
while n < 10 do
  n = n + 1
  if n % 2 == 0 then goto continue end
  if n > 7 then break end
  io.write(n, " ")
  ::continue::
end
print()
for i = 1, 3 do
  for j = 1, 3 do
    if j == i then break end
    io.write(i, ":", j, " ")
  end
end
print()
repeat n = n - 1 until n <= 5
print(n)
if 0 then print("0 is true") end
if "" then print("empty string is true") end
if nil then elseif false then else print("else") end

-- <const>.
local c <const> = 10
local s <const>, t <const>, plain = "str", { 1 }, 3
t[1] = c + 1
plain = plain + t[1]
print(c, s, t[1], plain, (function() return c * 2 end)())
for _, src in ipairs {
  "local x <const> = 1; x = 2",
  "local x <const> = 1; local function f() x = 2 end",
  "local x <constant> = 1",
  "local x <const> = 1; do local x = 2; x = 3 end return x",
  "local x <const>, y = 1; y = 2; x = 3",
  "local function f() end; local f <const> = f; f = nil",
} do
  local f, message = load(src, "=src")
  print(f and f(), message)
end

-- Local functions, methods, and statements that end a block.
local function early(v) if v then return "early" end return "late" end
print(early(true), early(false), (function() do return 1 end end)(), (function() return end)())
local function nothing() end
print(nothing(), (nothing()), select("#", nothing()))
