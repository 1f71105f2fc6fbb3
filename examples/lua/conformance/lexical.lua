-- Lexical matters: escapes, long brackets, comments, numerals, names.
local function bytes(s) return table.concat({ s:byte(1, -1) }, " ") end

print(bytes("\a\b\f\n\r\t\v\\\"\'"))
print(bytes('\'"'), bytes("\0"), bytes("\65\066\0067"), bytes("\x41\x7f\xFF"), bytes("\u{41}\u{7FF}\u{20AC}\u{10FFFF}"))
print(bytes("\u{7FFFFFFF}"), bytes("\u{0}"), "\u{48}\u{49}")
print(bytes("a\
b"), bytes("a\z
             b\z   c"), bytes("\10\
"))
print("tab[\t]", 'single "quoted"', "double 'quoted'", "\\n is not a newline")

-- Long strings: no escapes, first newline dropped, levels.
print([[plain]], [==[with ]] and ]=] inside]==], #[[
x]], #[[

x]], [[a\nb]], [=[[[nested]]]=])
print([[line 1
line 2]])
local long = [[
a
]]
print(#long, bytes(long))

-- Comments.
print(1) -- to the end of the line
print(--[[ inside an expression ]] 2)
--[==[ several
lines ]] ]=]
]==]
---[[ not a long comment
print(3)
--]]
--[[]] print(4)
--

-- Numerals.
print(1, 01, 1e2, 1E+2, 1e-2, .1e1, 0x1, 0XaBc, 0x1p1, 0x.1, 0xA., 3., 0e12, 0x0p5)
print(1//1, 1 ..2, 1. ..2, 0xep1, 0xe+1)

-- Names, reserved words as keys, statements on one line, optional semicolons.
local _, _1, a_b, ABC, end_ = 1, 2, 3, 4, 5
print(_, _1, a_b, ABC, end_)
local t = { ["end"] = 1, ["and"] = 2, goto_ = 3 };;; print(t["end"], t["and"], t.goto_)
local x = 1 local y = 2 print(x, y) do local x = 3 print(x) end print(x);

-- Calls without parentheses, chained calls and indexing of literals.
print "string" print [[long]] type { } ; print(type {} , #{ 1, 2, 3 }, ({ 10, 20 })[2], ("x"):rep(3), #"abc")
local function id(v) return v end
print(id { 5 } [1], id "s", id [[l]], (id)(7), id(id)(8), #id { 1, 2 })

-- A call on the next line belongs to the expression before it.
local f = id
(print)
f("same as print")

-- Operators without spaces.
print(1+2*3-4/2, 2^3^2, 1<2==true, not nil==true, -2^2, 1 ..2 ..3, 5//2*2+5%2, 1<<2|1, "a"<"b", 3~=4, ~5&0xF)

-- Escapes that are errors.
for _, source in ipairs {
  [["\q"]], [["\300"]], [["\xZZ"]], [["\x4"]], [["\u{110000000}"]], [["\u41"]], [["\u{}"]], [["\u{41"]],
  [["open]], "'open", "[[open", "[==[open]]", '"a\nb"', "--[[open", "[=x", "0x", "1e", "3x", "1..2", "0x1p", "1.2.3", "@", "a.b:c = 1", "\"\\", "$", "`",
} do
  print(select(2, load("return " .. source, "=src")))
end
