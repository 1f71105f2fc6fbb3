-- Error texts that follow from details of the reference implementation: constants and
-- integer keys as operands, numeric strings as loop bounds and bitwise operands.
local function try(f) print(select(2, pcall(f))) end

try(function() local t = {}; return t[1][2] end)
try(function() local t = {}; t[1]() end)
try(function() ("x")() end)
try(function() return ("x") & 1 end)
try(function() local s = "3"; return s | 0 end)
try(function() local s = "abc"; return ~s end)
try(function() local x = 1.5; return x & 1 end)
try(function() local x = 1.5; return 1 << x end)
try(function() local t = { x = 2.5 }; return t.x | 1 end)
try(function() return math.huge | 1 end)
try(function() return "a" + 1 end)
try(function() return -"a" end)
try(function() return {} .. "x" .. nil end)
for i = "1", 2 do io.write(math.type(i), " ", i, "; ") end
for i = 1, "2" do io.write(math.type(i), " ", i, "; ") end
print()
try(function() return setmetatable({}, { __index = function(t, k) return k.x.y end }).name end)
try(function() return setmetatable({}, { __add = function(a, b) return a.x.y end }) + 1 end)
try(function() for x in function() return nil + 1 end do end end)
for _, index in ipairs { "0", "1", "255", "256", "-1", "1.0", "1.5", "70000", "1 << 40", "true" } do
  for _, use in ipairs { "return t[%s] + 1", "return t[%s] & 1", "t[%s]()", "t[%s].x = 1" } do
    try(load("local t = {} " .. use:format(index), "=chunk"))
  end
end
