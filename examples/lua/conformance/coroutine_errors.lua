-- Errors in coroutines, and pcall / error across yields.
local function show(...) print(...) return ... end

local co = coroutine.create(function() error("message") end)
print(coroutine.resume(co)); print(coroutine.status(co), coroutine.resume(co))
co = coroutine.create(function() error({ code = 42 }) end)
local ok, e = coroutine.resume(co)
print(ok, type(e), e.code)
co = coroutine.create(function() error() end)
print(coroutine.resume(co))
co = coroutine.create(function() local x = nil; x.y = 1 end)
print(coroutine.resume(co))
co = coroutine.create(function() coroutine.yield(1); error("after yield", 0) end)
print(coroutine.resume(co)); print(coroutine.resume(co)); print(coroutine.resume(co))

-- wrap passes errors on; string messages get no second position beyond the first.
local w = coroutine.wrap(function() error("in wrap", 0) end)
print(pcall(w)); print(pcall(w))
w = coroutine.wrap(function() error({ "table" }) end)
print(type(select(2, pcall(w))))
w = coroutine.wrap(function() coroutine.wrap(function() error("innermost", 0) end)() end)
print(pcall(w))

-- pcall inside a coroutine, with yields inside the protected call.
co = coroutine.wrap(function(...)
  local results = table.pack(pcall(function(...)
    local a = coroutine.yield("in pcall", ...)
    local b = coroutine.yield(a)
    if b == "fail" then error("failed " .. a, 0) end
    return "fine", b
  end, ...))
  coroutine.yield(table.unpack(results, 1, results.n))
  return "finished"
end)
print(co("x")); print(co(1)); print(co("fail")); print(co())

-- The error is caught after several yields and the coroutine goes on.
co = coroutine.wrap(function()
  for i = 1, 3 do
    local ok, err = pcall(function()
      coroutine.yield("try " .. i)
      error({ n = i })
    end)
    coroutine.yield(ok, type(err) == "table" and err.n or err)
  end
end)
for _ = 1, 6 do print(co()) end

-- xpcall with yields in the function and a handler.
co = coroutine.wrap(function()
  return xpcall(function(a) local b = coroutine.yield(a); error("x" .. b, 0) end, function(m) return "handled " .. m end, "arg")
end)
print(co()); print(co("!"))

-- Nested pcalls, yields at every level, error passes through the right one.
co = coroutine.wrap(function()
  return pcall(function()
    coroutine.yield(1)
    local ok, m = pcall(function() coroutine.yield(2); error("deep", 0) end)
    coroutine.yield(ok, m)
    error("middle", 0)
  end)
end)
print(co()); print(co()); print(co()); print(co())

-- error from the resumer's side after a yield inside pcall; resume inside pcall.
co = coroutine.create(function() local ok, m = pcall(coroutine.yield, "direct"); return ok, m end)
print(coroutine.resume(co)); print(coroutine.resume(co, "value"))
print(pcall(coroutine.resume, coroutine.create(function() return "r" end)))
print(pcall(coroutine.wrap(function() return pcall(error, "e", 0) end)))

-- Yield across metamethods.
local mt = {
  __add = function(a, b) return coroutine.yield("add") end,
  __index = function(t, k) return coroutine.yield("index " .. k) end,
  __newindex = function(t, k, v) rawset(t, k, coroutine.yield("newindex " .. k)) end,
  __call = function(self, x) return coroutine.yield("call " .. x), x end,
  __lt = function() return coroutine.yield("lt") end,
  __le = function() return coroutine.yield("le") end,
  __eq = function() return coroutine.yield("eq") end,
  __concat = function() return coroutine.yield("concat") end,
  __len = function() return coroutine.yield("len") end,
  __unm = function() return coroutine.yield("unm") end,
  __bnot = function() return coroutine.yield("bnot") end,
  __band = function() return coroutine.yield("band") end,
  __idiv = function() return coroutine.yield("idiv") end,
}
local function drive(f)
  local c = coroutine.create(f)
  local r = table.pack(coroutine.resume(c))
  local trail = {}
  local n = 0
  while coroutine.status(c) ~= "dead" do
    trail[#trail + 1] = tostring(r[2])
    n = n + 1
    r = table.pack(coroutine.resume(c, n))
  end
  print(table.concat(trail, ","), table.unpack(r, 1, r.n))
end
local function obj() return setmetatable({}, mt) end
drive(function() return obj() + 1 end)
drive(function() local o = obj(); return o.x, o.y, o[1] == 3 end)
drive(function() local o = obj(); o.f = 1; return rawget(o, "f") end)
drive(function() return obj()("p") end)
drive(function() return obj() < 1, obj() <= 1, obj() > 1, obj() == obj(), obj() ~= obj() end)
drive(function() return obj() .. "x", "a" .. "b" .. obj(), 1 .. obj() .. 2 end)
drive(function() return #obj(), -obj(), ~obj(), obj() & 1, obj() // 2 end)
drive(function() if obj() < 1 then return "true branch" else return "false branch" end end)
drive(function() if obj() == obj() then return "equal" end return "different" end)
drive(function() local o = obj(); local t = { o.a, o.b, k = o.c, o.d }; return t[1], t[2], t.k, t[3] end)
drive(function() local s = 0; for i = 1, 3 do s = s + (obj() + i) end; return s end)
drive(function() return math.max(obj() + 1, obj().z, 0) end)

-- Yield in iterators of generic for.
drive(function()
  local s = {}
  for v in function(_, last) return (last or 0) < 3 and coroutine.yield("iter") or nil end do s[#s + 1] = v end
  return table.concat(s, " ")
end)
drive(function()
  local s = {}
  for k in pairs(setmetatable({}, { __pairs = function() coroutine.yield("pairs"); return next, { only = 1 }, nil end })) do s[#s + 1] = k end
  return table.concat(s)
end)

-- Places where a yield is not allowed.
local function refused(f) local ok, m = coroutine.resume(coroutine.create(f)); print(ok, (tostring(m):gsub("^[^:]*:%d+: ", ""))) end
refused(function() table.sort({ 2, 1 }, function(a, b) coroutine.yield(); return a < b end) end)
refused(function() ("x"):gsub("x", function() coroutine.yield() end) end)
refused(function() return tostring(setmetatable({}, { __tostring = function() coroutine.yield() return "" end })) end)
refused(function() load(function() coroutine.yield() end) error("loaded", 0) end)
print(select(2, pcall(coroutine.yield)))
