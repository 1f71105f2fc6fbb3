-- gcbench: trees built top-down and bottom-up beside a big array of floats, after
-- the shape of the well-known GCBench program.
-- Stresses: stores into old objects (top-down trees are filled after they were
-- linked), a large pointer-free array that must stay alive, nodes with named fields.
-- Size: the depth of the long-lived tree.

local depth = tonumber(arg and arg[1]) or 12

local stretch_depth = depth + 1
local array_size = 1 << (depth + 2)
local min_tree_depth = 2

local function new_node(left, right)
  return { left = left, right = right, i = 0, j = 0 }
end

-- How many nodes a full tree of that depth has.
local function tree_size(d)
  return (1 << (d + 1)) - 1
end

-- So many iterations that every depth allocates about the same amount.
local function iterations_for(d)
  return 2 * tree_size(stretch_depth) // tree_size(d)
end

-- Top-down: the parent exists first and is written to afterwards.
local function populate(d, node)
  if d <= 0 then return end
  d = d - 1
  node.left = new_node()
  node.right = new_node()
  populate(d, node.left)
  populate(d, node.right)
end

-- Bottom-up: children first, no store into an existing object.
local function make_tree(d)
  if d <= 0 then return new_node() end
  return new_node(make_tree(d - 1), make_tree(d - 1))
end

local function count(node)
  if not node then return 0 end
  return 1 + count(node.left) + count(node.right)
end

local function measure(d)
  local iterations = iterations_for(d)
  local nodes_top_down, nodes_bottom_up = 0, 0
  for _ = 1, iterations do
    local root = new_node()
    populate(d, root)
    nodes_top_down = nodes_top_down + count(root)
  end
  for _ = 1, iterations do
    nodes_bottom_up = nodes_bottom_up + count(make_tree(d))
  end
  print(string.format("depth %d: %d trees, top-down nodes %d, bottom-up nodes %d",
    d, iterations, nodes_top_down, nodes_bottom_up))
end

print(string.format("stretch tree of depth %d: %d nodes", stretch_depth, count(make_tree(stretch_depth))))

local long_lived = new_node()
populate(depth, long_lived)

local array = {}
for i = 1, array_size do
  array[i] = 1.0 / i
end

for d = min_tree_depth, depth, 2 do
  measure(d)
end

-- Both long-lived objects must have survived unchanged.
local intact = true
for i = 1, array_size do
  if array[i] ~= 1.0 / i then intact = false end
end
print(string.format("long-lived tree: %d nodes, array of %d floats intact: %s",
  count(long_lived), #array, tostring(intact)))
