-- What the debug library tells about calls, variables and upvalues, without hooks.
local function show(t) if not t then return t end local k = {} for a,b in pairs(t) do k[#k+1] = a .. "=" .. (type(b)=="function" and "F" or type(b)=="table" and "T" or tostring(b)) end table.sort(k) return table.concat(k, " ") end
print(show(debug.getinfo(1)))
print(show(debug.getinfo(print)))
print(show(debug.getinfo(1, "n")), show(debug.getinfo(1,"t")), show(debug.getinfo(1,"r")), show(debug.getinfo(1, "L")), show(debug.getinfo(1,"f")), show(debug.getinfo(1,"u")))
print(pcall(debug.getinfo, 1, "X"))
print(pcall(debug.getinfo, 1, ">"))
print(pcall(debug.getinfo, 1, ">f"))
print(pcall(debug.getinfo, print, "X"))
print(pcall(debug.getinfo, {}))
print(pcall(debug.getinfo))
print(pcall(debug.getinfo, "x"))
print(show(debug.getinfo(100)), show(debug.getinfo(-1)))
print(show(debug.getinfo(0, "nSltufrL")))
local function f(a, b, ...) local c <const> = 5; local d = a
  local function g() return a, d end
  print(show(debug.getinfo(1))); for i=1,10 do local n, v = debug.getlocal(1, i) print(i, n, v and type(v)) end for i=-1,-4,-1 do print(i, debug.getlocal(1, i)) end return g end
local g = f(1, 2, "x", "y")
print(debug.getlocal(f, 1), debug.getlocal(f, 2), debug.getlocal(f,3), debug.getlocal(f, -1))
print(debug.getlocal(print, 1))
print(pcall(debug.getlocal, 100, 1))
print(pcall(debug.getlocal, {}, 1))
print(pcall(debug.getlocal, 1))
print(debug.getupvalue(g, 1)) print(debug.getupvalue(g, 2)) print(debug.getupvalue(g, 3)) print(debug.getupvalue(print, 1))
print(debug.setupvalue(g, 1, 77), g())
print(debug.setupvalue(g, 9, 77), debug.setupvalue(print, 1, 2))
print(pcall(debug.setupvalue, g, 1)) print(pcall(debug.setupvalue, {}, 1, 2)) print(pcall(debug.getupvalue, {}, 1))
print(debug.upvalueid(g, 1) ~= nil, debug.upvalueid(g, 1) == debug.upvalueid(g, 1), debug.upvalueid(g,1) ~= debug.upvalueid(g,2))
print(pcall(debug.upvalueid, g, 3)) print(pcall(debug.upvalueid, print, 1)) print(pcall(debug.upvalueid, g, 0)) print(pcall(debug.upvalueid, 1, 0))
print(pcall(debug.upvaluejoin, g, 3, g, 1)) print(pcall(debug.upvaluejoin, g, 1, g, 4)) print(pcall(debug.upvaluejoin, print, 1, g, 1)) print(pcall(debug.upvaluejoin, g, 1, print, 1)) print(pcall(debug.upvaluejoin, g, 1, g))
debug.upvaluejoin(g, 1, g, 2) print(g())
print(type(debug.getregistry()))
print(debug.getregistry()._LOADED == package.loaded, debug.getregistry()._PRELOAD == package.preload, debug.getregistry()[2] == _G, type(debug.getregistry()[1]))
print(debug.getuservalue(io.stdout)) print(debug.getuservalue(io.stdout, 1)) print(debug.getuservalue({}, 1)) print(debug.getuservalue(1)) print(debug.getuservalue(io.stdout, 2))
print(pcall(debug.setuservalue, io.stdout, 1)) print(pcall(debug.setuservalue, {}, 1)) print(debug.setuservalue(io.stdout, 1, 2)) print(pcall(debug.setuservalue, io.stdout))

local co = coroutine.create(function(x) local y = 5 coroutine.yield() error"x" end)
print(show(debug.getinfo(co, 0))) print(pcall(debug.getlocal, co, 1, 1))
coroutine.resume(co, 1)
print(show(debug.getinfo(co, 0))) print(show(debug.getinfo(co, 1))) print(show(debug.getinfo(co, 2)))
print(debug.getlocal(co, 1, 1)) print(debug.getlocal(co, 1, 2)) print(debug.getlocal(co, 1, 3)) print(debug.getlocal(co, 0, 1)) print(debug.setlocal(co, 1, 2, "changed")) print(debug.getlocal(co, 1, 2))
coroutine.resume(co) print(show(debug.getinfo(co, 0))) print(show(debug.getinfo(co, 1)))
local x = 1
print(debug.setlocal(1, 100, 1)) print(pcall(debug.setlocal, 100, 1, 1)) print(pcall(debug.setlocal, 1, 1))
local t = setmetatable({}, {__index = function(t, k) return show(debug.getinfo(1, "nt")) end, __add = function() return show(debug.getinfo(1, "nt")) end, __close = function() print(show(debug.getinfo(1, "nt"))) end})
print(t.x) print(t + 1)
do local c <close> = t end
local function tail() return show(debug.getinfo(1, "nt")) end
local function call() return tail() end
print(call())
print((call()))
for a in function() print(show(debug.getinfo(1, "nt"))) end do end
print(pcall(function() return (show(debug.getinfo(1, "nt"))) end))
local s = "x" print(s:rep(2)) function t.m() return (show(debug.getinfo(1, "nt"))) end print((t.m())) print((t:m()))
table.sort({1,2,3}, function(a, b) print(show(debug.getinfo(1,"nt")), show(debug.getinfo(2, "nt"))) return a < b end)
local lines = {} for l in pairs(debug.getinfo(f, "L").activelines) do lines[#lines+1]=l end table.sort(lines) print(table.concat(lines, " "))
print(debug.getinfo(1,"L").activelines[1], debug.getinfo(1, "L").activelines[2])
local function temp() local a = 1; return (function() for i = 1, 8 do print(i, debug.getlocal(2, i)) end end)(a, 2) + 1 end
pcall(temp)
print((function(...) return debug.getlocal(1, -1) end)(9))

-- Assignments that take effect at once.
do
  local a, b <const>, c = 1, {}, 3
  for i = 1, 10 do
    local name = debug.getlocal(1, i)
    if name == "a" then debug.setlocal(1, i, "new a") end
    if name == "c" then debug.setlocal(1, i, nil) end
  end
  print(a, type(b), c)
end
local function outer(x)
  local function inner()
    print(debug.setlocal(2, 1, "set from inside"))
  end
  inner()
  return x
end
print(outer(1))
print((function(...) debug.setlocal(1, -2, "second") return ... end)(1, 2, 3))
do
  -- Environments of functions, as libraries do it.
  local function f() return answer end
  local function setfenv(f, environment)
    debug.upvaluejoin(f, 1, function() return environment end, 1)
  end
  local function other() return answer end
  answer = "global"
  setfenv(f, {answer = 42})
  print(f(), other())
  answer = nil
end
do
  local x, y = 1, 2
  local function getx() return x end
  local function gety() return y end
  local function setx(v) x = v end
  debug.upvaluejoin(gety, 1, getx, 1)
  setx(10)
  print(gety(), y, debug.upvalueid(gety, 1) == debug.upvalueid(setx, 1))
  for i = 1, 100 do local t = {} end
  collectgarbage()
  print(gety())
end
print(debug.setcstacklimit(100))

-- The last level of the main thread is the program around the interpreter.
local function last_level(...)
  local level = 0
  while debug.getinfo(level) do level = level + 1 end
  return level - 1
end
local last = last_level()
local info = debug.getinfo(last - 1, "nSlutr")
print(last, info.what, info.short_src, info.currentline, info.name, info.nups, info.isvararg, info.istailcall)
print(debug.getinfo(last - 1, "f").func == debug.getinfo(last - 1).func, debug.getinfo(last - 1, "L").activelines)
print(debug.getinfo(last), (pcall(debug.getlocal, last, 1)), pcall(debug.getlocal, last + 1, 1))
print(pcall(error, "no place", last), coroutine.wrap(last_level)())
kept = setmetatable({}, { __gc = function()
  print(debug.traceback("at the end"))
  print(last_level())
end })
