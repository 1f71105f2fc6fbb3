-- The length of a table with holes may be any border. Programs rely on the one that real Lua takes, which follows from
-- the sizes of the table's parts and so from the order of assignments.
local operations = { 1, 2, 3, 4, 5, -1, -2, -3 }

-- Positive numbers are assigned, negative ones removed; then the length is taken.
local function length_after(list)
  local t = {}
  for _, key in ipairs(list) do
    if key > 0 then t[key] = key else t[-key] = nil end
  end
  return #t
end

local list, lengths = {}, {}
local function try_all(depth)
  if depth == 0 then
    lengths[#lengths + 1] = length_after(list)
    return
  end
  for _, operation in ipairs(operations) do
    list[#list + 1] = operation
    try_all(depth - 1)
    list[#list] = nil
  end
end
for depth = 1, 4 do
  lengths = {}
  try_all(depth)
  print(depth, #lengths)
  for first = 1, #lengths, 64 do
    print(table.concat(lengths, "", first, math.min(first + 63, #lengths)))
  end
end

-- Elements at fixed places, others appended behind what seems to be the end.
local t = {}
t[3] = "third"
t[#t + 1] = "a"
t[#t + 1] = "b"
print(#t, t[1], t[2], t[3])
t = { first = 1 }
t[1], t[3] = 1, 3
for i = 1, 6 do t[#t + 1] = i * 10 end
print(table.concat(t, " "))
for _, t in ipairs({ { nil, 2 }, { 1, nil, 3 }, { nil, nil, 3 }, { 1, nil, 3, nil, 5, nil } }) do
  io.write(#t, " ")
  t[4] = 4
  io.write(#t, " ")
end
print()
