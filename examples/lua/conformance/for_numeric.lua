-- Numeric for loops: integers at the edge of overflow, floats, steps, conversions.
local function run(...)
  local from, to, step = ...
  local out = {}
  for i = from, to, step or 1 do
    out[#out + 1] = tostring(i)
    if #out >= 8 then out[#out + 1] = "..."; break end
  end
  print("[" .. table.concat(out, " ") .. "]")
end
local max, min = math.maxinteger, math.mininteger

run(1, 5); run(5, 1); run(1, 1); run(1, 0); run(5, 1, -1); run(1, 5, -1); run(1, 10, 3); run(10, 1, -4)
run(max - 2, max); run(max, max); run(min + 2, min, -1); run(min, min); run(max - 1, max, 2); run(min + 1, min, -2)
run(max - 3, max, 3); run(1, max, max // 2); run(min, max, max); run(max, min, min); run(0, min, min); run(-1, max, max)
run(1, 3.9); run(1, 3.1, 1); run(1, -0.5, -1); run(3, 1.5, -1); run(1, math.huge); run(1, -math.huge); run(1, -math.huge, -1)
run(1, 2 ^ 70, 1 << 61); run(-1, -2 ^ 70, min); run(1, 0 / 0); run(1, 0 / 0, -1); run(max, 2 ^ 63); run(min, -2 ^ 63)
run(1.0, 3); run(1, 3, 1.0); run(1.0, 3.5, 0.5); run(3.0, 1, -0.5); run(0.1, 0.5, 0.1); run(1, 2, 0.25); run(0.0, -1, 1)
run(1.5, math.huge); run(-math.huge, math.huge); run(1.0, 0 / 0); run(2 ^ 53, 2 ^ 53 + 4, 1.0)
run(1e15, 1e15 + 2); run(-3, -1); run(-1, -3, -1); run(0, 0, -1); run(0.0, 0, -1)

-- The types of the control variable.
for i = 1, 1 do io.write(math.type(i), " ") end
for i = 1.0, 1 do io.write(math.type(i), " ") end
for i = 1, 1, 1.0 do io.write(math.type(i), " ") end
for i = 1, 1.5 do io.write(math.type(i), " ") end
print()

-- Bounds are evaluated once, before the loop, in order.
local log = {}
local function note(v) log[#log + 1] = v; return v end
for i = note(1), note(3), note(1) do note(i * 10) end
print(table.concat(log, " "))

-- The loop variable is a copy; changing bounds or it has no effect on the count.
local limit, turns = 3, 0
for i = 1, limit do
  limit = 100
  turns = turns + 1
  i = i * 50
end
print(limit, turns)

-- Nested loops, sums, and loops that never run.
local sum = 0
for i = 1, 100 do for j = i, 100, 7 do sum = sum + i * j end end
print(sum)
for i = 3, 1 do print("never") end
for i = 1, 0, 1 do print("never") end
local total = 0
for i = 1, 100000 do total = total + i % 7 end
print(total)
local f = 0
for x = 0, 1, 0.125 do f = f + x end
print(f)

for _, make in ipairs {
  function() for i = 1, 10, 0 do end end,
  function() for i = 1.0, 10, 0 do end end,
  function() for i = 1, 10, 0.0 do end end,
  function() for i = nil, 10 do end end,
  function() for i = 1, {} do end end,
  function() for i = 1, 2, print do end end,
  function() for i = true, false do end end,
} do
  print(select(2, pcall(make)))
end
