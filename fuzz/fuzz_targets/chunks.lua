-- Programs for the fuzz target `lua_chunk`, as binary chunks. The first two differ in a line number only.
local programs = {
  "return 1",
  "\nreturn 1",
  [[
    local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
    return fib(8)
  ]],
  [[
    local t = {1, 2, 3, x = 1, ["y z"] = 2, [10] = 3, (function(...) return ... end)(4, 5)}
    for i = 1, #t do t[i] = t[i] * 2 end
    for k, v in pairs(t) do t[k] = v end
    for i = 3.5, 1, -0.5 do t[#t + 1] = i end
    return #t, t.x, t["y z"], t[10]
  ]],
  [[
    local function close(name) return setmetatable({}, {__close = function(_, e) log = name end}) end
    local function f(...)
      local a <close> = close("a")
      local b <const> = select("#", ...)
      for i = 1, b do
        local c <close> = close("c")
        if i == 2 then goto continue end
        if i == 3 then break end
        ::continue::
      end
      return ..., b
    end
    return f(1, 2, 3, 4)
  ]],
  [[
    local fs = {}
    for i = 1, 3 do
      local n = i
      fs[i] = function() n = n + i return n end
    end
    while true do
      local x = fs[1]() + fs[2]() * fs[3]()
      if x > 20 and x // 3 ~= 7 or not x then break end
    end
    repeat local done = fs[2]() > 10 until done
    return fs[1](), -fs[2](), ~fs[3](), "a" .. 1 .. "b" .. fs[1]()
  ]],
  [[
    local o = setmetatable({}, {
      __index = function(t, k) return k end,
      __newindex = function(t, k, v) rawset(t, k, v) end,
      __call = function(self, ...) return ... end,
      __add = function(a, b) return 1 end, __concat = function(a, b) return "c" end,
      __eq = function() return true end, __lt = function() return true end,
      __le = function() return false end, __len = function() return 5 end,
    })
    o.x = o.y
    local a, b, c = o(1, nil, 3), o + 1, o .. "x"
    local d = o == setmetatable({}, getmetatable(o)) and o < 1 or o <= 2
    return a, b, c, d, #o, o:method(), 2 & 3 | 4 ~ 1 << 2 >> 1, 7 // 2 % 3 ^ 2
  ]],
  [[
    local co = coroutine.wrap(function(a, ...)
      local b = coroutine.yield(a, ...)
      local ok, e = pcall(error, {b})
      for i, v in ipairs({1, 2, 3}) do coroutine.yield(i, v) end
      return e
    end)
    co(1, 2, 3) co(4)
    for i = 1, 3 do co() end
    table.sort({3, 1, 2}, function(a, b) return a < b end)
    return string.gsub("abc", "%w", function(c) return c .. c end)
  ]],
}

local chunks = {}
for _, source in ipairs(programs) do chunks[#chunks + 1] = string.dump(assert(load(source, "=p"))) end
chunks[#chunks + 1] = string.dump(assert(load(programs[6])), true)
return table.unpack(chunks)
