-- binary_trees: the classic allocator benchmark.
-- Stresses: allocation rate of small tables, marking of a long-lived tree while
-- short-lived trees of every depth come and go.
-- Size: the depth of the long-lived tree (15 is the job that speed is measured on).

local function bottom_up_tree(depth)
  if depth > 0 then
    depth = depth - 1
    local left, right = bottom_up_tree(depth), bottom_up_tree(depth)
    return { left, right }
  else
    return {}
  end
end

local function item_check(tree)
  if tree[1] then
    return 1 + item_check(tree[1]) + item_check(tree[2])
  else
    return 1
  end
end

local n = tonumber(arg and arg[1]) or 10
local min_depth = 4
local max_depth = math.max(min_depth + 2, n)

do
  local stretch_depth = max_depth + 1
  local stretch_tree = bottom_up_tree(stretch_depth)
  print(string.format("stretch tree of depth %d\t check: %d", stretch_depth, item_check(stretch_tree)))
end

local long_lived_tree = bottom_up_tree(max_depth)

for depth = min_depth, max_depth, 2 do
  local iterations = 1 << (max_depth - depth + min_depth)
  local check = 0
  for _ = 1, iterations do
    check = check + item_check(bottom_up_tree(depth))
  end
  print(string.format("%d\t trees of depth %d\t check: %d", iterations, depth, check))
end

print(string.format("long lived tree of depth %d\t check: %d", max_depth, item_check(long_lived_tree)))
