-- load: text, reader functions, chunk names, modes, environments, results, dofile and
-- require-free use of chunks.
local function try(f) print(select(2, pcall(f))) end

print(load("return 1 + 1")(), type(load("x_loaded = 5")), x_loaded)
load("x_loaded = 5")(); print(x_loaded); x_loaded = nil
print(load("return ...")(1, 2, 3)); print(load("local a, b = ...; return b, a")("p", "q"))
print(load("")(), load("-- only a comment")(), load("return")(), select("#", load("")()))
print(load("return 1;")(), load("return (1)")(), load(";;;return 2;")())

-- Syntax errors give nil and a message that has the chunk's name.
print(load("x ="))
print(load("x =", "=name")); print(load("x =", "@file.lua")); print(load("x =", "plain source"))
print(load("x =", "line one\nline two")); print(load("\n\nx =", "=n"))
print(load("x =", "a very long piece of source text that does not fit into the message, so that it must be shortened somewhere"))
print(load("x =", "@a/very/long/path/name/that/does/not/fit/into/the/message/so/that/it/must/be/shortened/somewhere.lua"))
print(load("x =", "=an explicit name that is far too long to fit and is simply cut at the end of the space there is for it"))
print(load("x =", ""))
print(pcall(load("error('run')", "=chunk"))); print(pcall(load("error('run')", "@dir/file.lua"))); print(pcall(load("error('run')")))
print(pcall(load("\n\nlocal x\nx()", "=lines")))

-- Reader functions.
local function reader(...) local parts, i = { ... }, 0; return function() i = i + 1; return parts[i] end end
print(load(reader("return ", "1", " + ", "2"))(), load(reader("ret", "urn 'sp", "lit'"))(), load(reader())(), load(reader("return 5", "", "+ 6"))())
print(load(reader("x ="))); print(load(reader("x ="), "=reader")); print(load(reader("error('e')"), "=reader") ~= nil)
print(load(function() return nil end) ~= nil, pcall(load, function() error("reader failed", 0) end))
print(pcall(load, function() return {} end))
local bytes, at = "return 10 * 4 + 2", 0
print(load(function() at = at + 1; return bytes:sub(at, at) end)())
local big, n = {}, 0
for i = 1, 500 do big[i] = "local v" .. i .. " = " .. i .. "; n = n + v" .. i .. "\n" end
local env = { n = 0 }
local source = "do " .. table.concat(big, "end do ") .. " end"
load(source, "=big", "t", env)()
print(env.n)

-- Environments.
env = { print = print, value = "in env" }
load("print(value); created = true", "=env", "t", env)()
print(env.created, created, value)
print(load("return _ENV", "=e", "t", env)() == env, load("return _G")() == _G, load("return x", "=e", "t", { x = 1 })())
print(pcall(load("return y.z", "=e", "t", {})))
print(pcall(load("return 1", "=e", "t", nil)), pcall(load("return x", "=e", "t", nil)))
local f = load("local function inner() return free end return inner", "=e", "t", { free = "found" })
print(f()())
print(load("return function() return _ENV end", "=e", "t", env)()() == env)

-- Modes.
print(load("return 1", "=m", "b")); print(load("return 1", "=m", "t")()); print(load("return 1", "=m", "bt")())
print(load("\27Lua", "=m", "t"))

-- Each call of load makes a new function with its own locals; chunks are varargs.
local chunk = load("local n = ... or 0; return function() n = n + 1; return n end")
local a, b = chunk(), chunk(10)
print(a(), a(), b(), a())
print(load("local t = {...}; return #t, select('#', ...)")(nil, nil, 3))

-- Chunks that define globals, functions, recursion, and that use goto.
load([[
  function global_fact(n) if n <= 1 then return 1 end return n * global_fact(n - 1) end
]])()
print(global_fact(10)); global_fact = nil
print(load("local i = 0 ::top:: i = i + 1 if i < 10 then goto top end return i")())

-- Generated code.
local pieces = { "return function(x) return 0" }
for i = 0, 9 do pieces[#pieces + 1] = " + " .. i .. " * x ^ " .. i end
pieces[#pieces + 1] = " end"
print(load(table.concat(pieces))()(2))
local nested = ("("):rep(100) .. "1" .. (")"):rep(100)
print(load("return " .. nested)())
nested = ("{"):rep(50) .. "'deep'" .. ("}"):rep(50)
local t = load("return " .. nested)()
for _ = 1, 50 do t = t[1] end
print(t)
print((select(2, load("return " .. ("("):rep(1000) .. "1" .. (")"):rep(1000), "=deep"))):match("overflow") or "limit")

-- Files: dofile, loadfile.
local name = os.tmpname()
local file = io.open(name, "w"); file:write("#!/usr/bin/lua first line is skipped\nlocal a = ...\nresult_of_file = 7\nreturn a, 'second'"); file:close()
print(dofile(name)); print(result_of_file); result_of_file = nil
print(loadfile(name)("arg")); print(loadfile(name, "t", {})("x"))
file = io.open(name, "w"); file:write("x ="); file:close()
print((select(2, loadfile(name)):gsub(".*:(%d+:)", "FILE:%1")), pcall(dofile, name) == false)
os.remove(name)
print(loadfile("/nonexistent/file.lua"))

try(function() load() end)
try(function() load({}) end)
try(function() load("return 1", {}) end)
