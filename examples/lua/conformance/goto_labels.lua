-- goto, labels, and the continue idiom; compile-time errors about them.
for i = 1, 5 do
  if i % 2 == 0 then goto continue end
  io.write(i, " ")
  ::continue::
end
print()

-- Nested continue and break out of two loops.
for i = 1, 3 do
  for j = 1, 3 do
    if j == 2 then goto next_j end
    if i == 3 then goto done end
    io.write(i, ",", j, " ")
    ::next_j::
  end
end
::done::
print()

-- Backward jumps make loops.
do
  local i = 1
  ::top::
  io.write(i, " ")
  i = i + 1
  if i <= 4 then goto top end
  print()
end

-- continue in while, repeat and generic for.
local n = 0
while n < 6 do
  n = n + 1
  if n == 3 then goto skip end
  io.write(n, " ")
  ::skip::
end
print()
n = 0
repeat
  n = n + 1
  if n == 2 then goto cont end
  io.write(n, " ")
  ::cont::
until n >= 4
print()
for k, v in ipairs { "a", "b", "c" } do
  if v == "b" then goto cont end
  io.write(k, v, " ")
  ::cont::
end
print()

-- The same label in different functions and blocks; labels at the end of a block.
local function f() do goto l end ::l:: return "f" end
local function g() goto l; do ::l2:: end ::l:: return "g" end
print(f(), g())
do goto e; local x; ::e:: end
do
  goto forward
  local unused = 1
  ::forward::
end

-- A state machine.
local function accept(s)
  local pos, c = 1, nil
  ::start::
  c = s:sub(pos, pos)
  pos = pos + 1
  if c == "a" then goto start end
  if c == "b" then goto seen_b end
  if c == "" then goto good end
  goto bad
  ::seen_b::
  c = s:sub(pos, pos)
  pos = pos + 1
  if c == "b" then goto seen_b end
  if c ~= "" then goto bad end
  ::good::
  do return true end
  ::bad::
  return false
end
print(accept("aaabb"), accept(""), accept("aba"), accept("bbb"), accept("c"))

-- goto closes the variables of the block it leaves.
local closures = {}
do
  local i = 0
  ::again::
  local v = i * 10
  closures[#closures + 1] = function() v = v + 1; return v end
  i = i + 1
  if i < 3 then goto again end
end
print(closures[1](), closures[1](), closures[2](), closures[3]())

-- Errors found when compiling.
for _, src in ipairs {
  "goto nowhere",
  "do ::inner:: end goto inner",
  "::twice:: ::twice::",
  "::outer:: do ::outer:: end",
  "goto jump; local x; ::jump:: print(x)",
  "break",
  "do break end",
  "local function f() break end",
  "for i = 1, 2 do local function f() break end end",
  "repeat goto c; local x; ::c:: until x",
  "goto = 1",
  "::1::",
  "if true then ::l:: end goto l",
  "goto l; local function f() ::l:: end",
} do
  print((select(2, load(src, "=src"))))
end
