-- A function has 254 registers; the message shows the token that the compiler had reached.
local function try(source)
  local f, message = load(source, "=s")
  if not f then return message end
  local results = table.pack(pcall(f))
  return results[1] and results.n - 1 or (results[2]:gsub("^.-:%d+: ", ""))
end
for n = 248, 258 do
  local ones = ("1,"):rep(n - 1) .. "1"
  local names = {}
  for i = 1, 199 do names[i] = "a" .. i end
  names = "local " .. table.concat(names, ",")
  for i, source in ipairs {
    "return " .. ones,
    "return " .. ones:gsub(",", "\n,\n"),
    "local a; return " .. ones,
    "return " .. ones .. ", ...",
    "return ..., " .. ones,
    "return " .. ones .. ", (function() end)()",
    "return " .. ones .. ", a.b",
    "return " .. ones:gsub("1", "(a)"),
    "return " .. ones:gsub("1", "-a"),
    "return " .. ones:gsub("1", "a"),
    "return select('#', " .. ones .. ")",
    "local function f(...) return ... end return f(" .. ones .. ")",
    "local function f(...) return ... end return f(f(" .. ones .. "))",
    "return ('').format(" .. ones .. ")",
    "return a.b.c:d(" .. ones .. ")",
    "return #{" .. ones .. "}",
    "local a = " .. ones,
    "local a, b = " .. ones,
    "local a \n= \n " .. ones .. "\n x = 1",
    "a = " .. ones .. " b = 2",
    "for k in " .. ones:gsub("1", "nil") .. " do end",
    "return function() return " .. ones .. " end",
    "return {" .. names .. "}",
    names .. " return " .. ("1,"):rep(n - 200) .. "2",
    names .. " return {" .. ("1,"):rep(n - 200) .. "}",
    names .. " return {" .. ("1,"):rep(n - 201) .. "1}",
    names .. " return {" .. ("1,"):rep(n - 201) .. "a(2)}",
    names .. " return {" .. ("1,"):rep(n - 201) .. "x = a, [b] = c.d}",
    names .. " return " .. ("{"):rep(n - 200) .. ("}"):rep(n - 200),
    names .. " return " .. ("a .. ("):rep(n - 200) .. "1" .. (")"):rep(n - 200),
    names .. " return " .. ("a + ("):rep(n - 200) .. "1" .. (")"):rep(n - 200),
    names .. " return " .. ("x + ("):rep(n - 200) .. "1" .. (")"):rep(n - 200),
    names .. " return " .. ("x .. "):rep(n - 200) .. "1",
    names .. " return " .. ("x.y["):rep(n - 200) .. "1" .. ("]"):rep(n - 200),
    names .. " return " .. ("x(1, "):rep((n - 200) // 2) .. "1" .. (")"):rep((n - 200) // 2),
    names .. " x = " .. ("x{"):rep((n - 200) // 2) .. ("}"):rep((n - 200) // 2),
    names .. " x = " .. ("-x("):rep(n - 200) .. "1" .. (")"):rep(n - 200),
  } do
    print(n, i, try(source))
  end
end
-- All values arrive.
local values = {}
for i = 1, 254 do values[i] = tostring(i) end
local f = assert(load("return " .. table.concat(values, ",")))
local sum = 0
for _, value in ipairs { f() } do sum = sum + value end
print(select("#", f()), (select(254, f())), sum)
