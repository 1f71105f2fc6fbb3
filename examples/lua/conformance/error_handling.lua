-- error with levels and values of every type, pcall, xpcall, assert, error positions.
print(pcall(function() return 1, nil, 3 end))
print(pcall(function() end))
print(pcall(error))
print(pcall(error, nil))
print(pcall(error, "message"))
print(pcall(error, { 1 }) == false, type(select(2, pcall(error, { 1 }))))
for _, v in ipairs { 42, 1.5, true, false, "s" } do print(pcall(error, v)) end
local t = setmetatable({}, { __tostring = function() return "object" end })
print(select(2, pcall(error, t)) == t, tostring(select(2, pcall(error, t))))
print(select(2, pcall(error, print)) == print)

-- Levels.
local function level(n) error("level " .. n, n) end
local function caller(n) level(n) end
local function top(n)
  caller(n) -- line 17
end
print(pcall(top, 0)); print(pcall(top, 1)); print(pcall(top, 2)); print(pcall(top, 3))
print(pcall(function() error("default") end))
print(pcall(function() error("zero", 0) end))
print(pcall(function() error("two", 2) end))
print(pcall(function() error(12) end), pcall(function() error("12", 1) end))
print(pcall(function() error({}, 1) end) == false)

-- assert.
print(assert(1, 2, 3)); print(assert("x")); print(select("#", assert(1, nil, nil)))
print(pcall(assert, false)); print(pcall(assert, nil, "custom")); print(pcall(assert, false, 12)); print(pcall(assert, nil, nil))
print(type(select(2, pcall(assert, false, { 1 }))))
print(pcall(function() assert(false, "no position") end))
print(pcall(function() assert(nil) end))
print(pcall(assert, 0), pcall(assert, ""))

-- Nested pcall; errors in handlers of errors; rethrowing keeps the value.
print(pcall(pcall, error, "inner"))
print(pcall(pcall))
print(pcall(function()
  local ok, e = pcall(error, "first", 0)
  error(e .. " then second", 0)
end))
local original = {}
local ok, caught = pcall(function() local ok, e = pcall(error, original); error(e) end)
print(ok, caught == original)

-- xpcall.
print(xpcall(function() return "fine", 2 end, print))
print(xpcall(function(...) return select("#", ...), ... end, print, 1, nil, 3))
print(xpcall(function() error("boom", 0) end, function(m) return m .. " handled", "dropped" end))
print(xpcall(function() error({ code = 7 }) end, function(e) return e.code end))
print(xpcall(function() local x; return x.y end, function(m) return "H: " .. m end))
print(xpcall(function() error() end, function(m) return type(m) end))
print(xpcall(error, function(m) return "direct " .. tostring(m) end, "arg"))
print(xpcall(function() error("trace me") end, function(m) local tb = debug.traceback(m, 1); return tb:match("^[^\n]*\nstack traceback:\n") ~= nil, "x" end))
print(select("#", xpcall(function() error("x") end, function() end)))
print(xpcall(function() xpcall(function() error("in", 0) end, function(m) error("handler fails", 0) end); return "outer fine" end, function(m) return "outer handler" end))

-- The handler runs at the point of the error: it sees the locals' closures alive.
local state = "before"
xpcall(function() state = "inside"; error("x") end, function() state = state .. " seen" end)
print(state)

-- Errors leave loops, restore nothing, and keep side effects.
local count = 0
for i = 1, 10 do pcall(function() count = count + 1; if i % 2 == 0 then error("even") end; count = count + 10 end) end
print(count)

-- Errors through several Lua and library levels.
print(pcall(function() table.sort({ 3, 1, 2 }, function() error("from sort", 0) end) end))
print(pcall(function() ("x"):gsub(".", function() error("from gsub", 0) end) end))
print(pcall(function() for _ in pairs(setmetatable({}, { __pairs = function() error("from pairs", 0) end })) do end end))
print(pcall(function() return load(function() error("from reader", 0) end) end))
print(pcall(string.format, "%s", setmetatable({}, { __tostring = function() error("from tostring", 0) end })))
print(pcall(function() local a <const> = 5; return a.b.c end))

-- Return values of protected calls in expressions.
print((pcall(error)), not pcall(error), #{ pcall(error, "a") }, select("#", pcall(pcall, error)))
local function try(f, ...)
  local results = table.pack(pcall(f, ...))
  if results[1] then return "ok", table.unpack(results, 2, results.n) end
  return "failed", (tostring(results[2]):gsub("^.-:%d+: ", ""))
end
print(try(function(a, b) return a + b end, 1, 2)); print(try(function(a, b) return a + b end, 1))

-- Multi-line expressions report a line inside them.
local lines = {}
for _, source in ipairs {
  "local t = {}\n\nt.x.y = 1",
  "local a\nlocal b = 1\nreturn a\n+\nb",
  "return (function()\nerror('deep')\nend)()",
  "local function f()\n  local g\n  g()\nend\nf()",
  "for i = 1, 2 do\n  local s = nil\n  s = s .. i\nend",
} do lines[#lines + 1] = (select(2, pcall(load(source, "=chunk")))) end
print(table.concat(lines, "\n"))
package.loaded["a module"] = function() return debug.traceback("of a module") end
print((package.loaded["a module"]()))
