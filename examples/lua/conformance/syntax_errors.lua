-- Messages of the compiler, by load. The chunk name is always "s".
for _, source in ipairs {
  "x", "x.y", "x y", "1", "'str'", "f", "f()()", "f() = 1", "x = ", "x = = 1", "x, = 1", "x, y", "x, f() = 1, 2", "(x) = 1", "a.b:c = 1", "a:b",
  "local", "local 1", "local x =", "local x y", "local function", "local function f", "local function f(", "local function f(a", "local function f(a,", "local function f(a b) end", "local function f(...", "local function f(..., a) end", "local function f.x() end",
  "function", "function f", "function 1() end", "function f.() end", "function f:a.b() end", "function f() ", "function f(1) end", "return function end",
  "if", "if x", "if x then", "if x then else", "if x then elseif", "if x then else elseif y then end", "if x do end", "else", "end", "elseif", "then", "until x",
  "while", "while x", "while x do", "while x then end", "repeat", "repeat until", "repeat x = 1",
  "for", "for x", "for x =", "for x = 1", "for x = 1 do end", "for x = 1, 2", "for x = 1, 2, 3, 4 do end", "for x in", "for x in y", "for x, y = 1, 2 do end", "for 1 = 1, 2 do end", "for x, in y do end", "for x.y in z do end",
  "return return", "return 1 2", "return 1; x = 2", "do return end x", "return 1,", "break 1", "do", "do end end",
  "x = (", "x = )", "x = (1", "x = 1)", "x = {", "x = {1", "x = {1,", "x = {1 2}", "x = {[1]}", "x = {[1] =}", "x = {[1 = 2}", "x = {a = }", "x = {,}", "x = }", "x = a[", "x = a[1", "x = a.", "x = a.1", "x = a:", "x = a:b", "f(", "f(1", "f(1,", "f(1,)", "f(1 2)", "f{", "f:",
  "x = 1 +", "x = + 1", "x = 1 + * 2", "x = not", "x = -", "x = #", "x = ~", "x = 1 ..", "x = .. 1", "x = 1 < ", "x = 1 and", "x = or 1", "x = 1 == == 2", "x ~= 1", "x = !1", "x != 1", "x += 1", "x++", "x = a ? b : c", "x = 1 <> 2", "x = 5 /", "x = // 2",
  "x = ...; function f() return ... end", "local function f() return function() return ... end end",
  "and = 1", "local end = 1", "x.end = 1", "x = {end = 1}", "x = nil.y", "x = 1.y", "'a'.b = 1", "('a').b = 1 x", "nil = 1", "true = 1", "... = 1",
  "x = 'abc", "x = \"abc\ndef\"", "x = [[abc", "x = [==[abc]]", "--[[ abc", "x = '\\q'", "x = '\\400'", "x = '\\xg0'", "x = '\\u{zz}'", "x = 3e", "x = 0xg", "x = 1..2", "x = 08z", "x = 1e5e5",
  "x = @", "x = $y", "x = a\\b", "x = `y`", "?", "x = 1 : 2", "x = a->b", "x & y", "x =\n\n\n= 2", "x = 1\ny = = 2", "f()\n()\n= 1", "x = {\n1,\n2,\n= 3 }",
  "local x <const>", "local x <foo> = 1", "local x <const> = 1; x = 2", "local x < const > = 1; return x", "local <const> x = 1", "local x <const = 1", "local x <1> = 1",
  "goto", "goto 1", "goto x", "::x", "::x::  ::x::", "::x:", "break", "while true do local function f() break end end",
  "x = function() return 1", "x = function(a,) end", "x = function(a, a) return a end", "return function(...) return ... end", "a.b['c'].d = 1 2", "local a <const>, b = 1, 2; b = 3", "x = 'a' 'b' 'c'", "(f)", "(f)(x) y", "f 'a' 'b' {} = 1", "local t = {} t.x, t.y = 1, 2; t",
  "if x then\nreturn 1\nelse\nreturn 2", "for i = 1, 2 do\nfor j = 1, 2 do\nend", "while x do\n\n\nif y then\n\nend", "f(\n1,\n2", "x = {\n\n\n1", "function a()\nfunction b()\nend", "repeat\n\nlocal x = 1", "do\ndo\nend\n",
} do
  local f, message = load(source, "=s")
  print((source:gsub("\n", "\\n")), f and "ok" or message)
end
