-- The programs and the hook of the fuzz target `lua_debug`. The global `input` says what the hook does.
local input, place = input, 0
local debug, coroutine, string, table = debug, coroutine, string, table
local pcall, error, setmetatable, collectgarbage = pcall, error, setmetatable, collectgarbage
local select, ipairs, pairs, tostring, load = select, ipairs, pairs, tostring, load

local function byte()
  place = place + 1
  return string.byte(input, place) or 0
end

local kept = {}

local function value()
  local kinds = {
    function() return nil end,
    function() return byte() end,
    function() return byte() / 3 end,
    function() return string.rep("x", byte()) end,
    function() return {} end,
    function() return function() return byte() end end,
    function() return print end,
    function() return kept[byte() % 8] end,
    function() return coroutine.create(function() coroutine.yield() end) end,
    function() return setmetatable({}, {__close = function() end, __gc = function() end}) end,
    function() return io.stdout end,
    function() return debug.upvalueid(byte, 1) end,
  }
  return kinds[byte() % #kinds + 1]()
end

local hook

local function anything()
  local info = debug.getinfo(byte() % 6, "f")
  return info and info.func or byte
end

local actions = {
  function() debug.setlocal(byte() % 6, byte() % 20 - 5, value()) end,
  function() kept[byte() % 8] = select(2, debug.getlocal(byte() % 6, byte() % 20 - 5)) end,
  function() debug.setupvalue(anything(), byte() % 5, value()) end,
  function() kept[byte() % 8] = select(2, debug.getupvalue(anything(), byte() % 5)) end,
  function() debug.upvaluejoin(anything(), byte() % 4, anything(), byte() % 4) end,
  function() debug.sethook(hook, ({"l", "c", "r", "crl", ""})[byte() % 5 + 1], byte() % 7) end,
  function() debug.sethook() end,
  function() error(value()) end,
  function() collectgarbage(({"collect", "step", "count"})[byte() % 3 + 1]) end,
  function() debug.traceback(nil, byte() % 8) end,
  function()
    local info = debug.getinfo(byte() % 8, "nSltufLr")
    if info then kept[byte() % 8] = info.func end
  end,
  function() debug.setmetatable(value(), byte() % 2 == 0 and {} or nil) end,
  function()
    local co = kept[byte() % 8]
    if type(co) == "thread" then
      debug.sethook(co, hook, "crl", byte() % 3)
      debug.setlocal(co, byte() % 3, byte() % 9, value())
      coroutine.resume(co, value())
      coroutine.close(co)
    end
  end,
  function() kept[byte() % 8] = load(string.dump(anything(), byte() % 2 == 0)) end,
  function() pcall(kept[byte() % 8] or byte, value()) end,
  function() coroutine.yield(value()) end,
}

function hook()
  if byte() % 4 == 0 then actions[byte() % #actions + 1]() end
end

local programs = {
  function()
    local function f(n, ...) if n == 0 then return ... end return f(n - 1, n, ...) end
    return f(5)
  end,
  function()
    local t = {}
    for i = 1, 5 do
      local x = i
      t[i] = function(d) x = x + d return x end
    end
    local sum = 0
    for _, g in ipairs(t) do sum = sum + g(1) end
    for k in pairs(t) do t[k] = nil end
    return sum
  end,
  function()
    local function close() return setmetatable({}, {__close = function(_, e) local y = e end}) end
    local a <close> = close()
    for i = 1, 3 do local b <close> = close() if i == 2 then error("x") end end
  end,
  function()
    local co = coroutine.wrap(function(...)
      local n = select("#", ...)
      for i = 1, 5 do n = n + (coroutine.yield(i) or 1) end
      return n
    end)
    local r = co(1, 2)
    while type(r) == "number" and r < 5 do r = co(r) end
  end,
  function()
    table.sort({5, 3, 1, 4, 2}, function(a, b) local c = a < b return c end)
    return string.gsub("hello", "l+", function(s) local u = s:upper() return u end)
  end,
  function()
    local m = setmetatable({}, {
      __index = function(t, k) return k .. k end,
      __add = function(a, b) return tostring(b) end,
      __lt = function(a, b) return true end,
      __concat = function(a, b) return "c" end,
    })
    local x = m.a .. (m + 1) .. m
    while m < x do x = x .. "y" if #x > 9 then break end end
    return x
  end,
}

while place < #input do
  local program = programs[byte() % #programs + 1]
  debug.sethook(hook, "crl", byte() % 5)
  local co = coroutine.create(program)
  debug.sethook(co, hook, "crl", byte() % 5)
  coroutine.resume(co, value())
  coroutine.resume(co, value())
  coroutine.close(co)
  pcall(program, value(), value())
  debug.sethook()
end
