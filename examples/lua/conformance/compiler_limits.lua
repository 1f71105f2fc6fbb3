-- Limits of the reference compiler: 200 local variables, 255 upvalues per function.
local function try(source) print((select(2, load(source, "=s")))) end
local locals = {}
for i = 1, 201 do locals[i] = "local a" .. i end
try(table.concat(locals, "\n"))
local params = {}
for i = 1, 300 do params[i] = "a" .. i end
try("local function f(" .. table.concat(params, ",") .. ") end")
local upvalues, uses = {}, {}
for i = 1, 150 do upvalues[i] = "local a" .. i .. " = 1" end
for i = 1, 150 do uses[i] = "local b" .. i .. " = 1" end
try(table.concat(upvalues, "\n") .. "\nlocal function f()\n" .. table.concat(uses, "\n") .. "\nreturn function() return a1" .. (function()
  local s = {}
  for i = 1, 150 do s[#s + 1] = " + a" .. i .. " + b" .. i end
  return table.concat(s)
end)() .. " end end")
