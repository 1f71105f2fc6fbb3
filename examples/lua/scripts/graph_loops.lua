-- graph_loops: builds random directed graphs, finds their strongly connected
-- components (Tarjan's algorithm, with an explicit stack) and collapses every
-- component into one node until the graph has no cycle left.
-- Stresses: cyclic object graphs, tables used as sets keyed by tables, many
-- generations of graphs that die as a whole.
-- Size: the number of nodes.

local n = tonumber(arg and arg[1]) or 3000

local seed = 42
local function random(limit)
  seed = (seed * 1103515245 + 12345) & 0x7fffffff
  return (seed >> 8) % limit + 1
end

local function new_node(id)
  return { id = id, weight = 1, succ = {} }
end

-- `percent` edges for every 100 nodes; an edge leads at most `reach` nodes away, so
-- a small reach gives many small loops and a large one gives a giant loop.
local function random_graph(size, percent, reach)
  local nodes = {}
  for i = 1, size do nodes[i] = new_node(i) end
  for _ = 1, size * percent // 100 do
    local from = random(size)
    local to = (from - 1 + random(2 * reach + 1) - reach - 1) % size + 1
    local succ = nodes[from].succ
    succ[#succ + 1] = nodes[to]
  end
  return nodes
end

-- Returns a list of components, each a list of nodes.
local function components(nodes)
  local index, low, on_stack = {}, {}, {}
  local stack, result, counter = {}, {}, 0

  local function open(node)
    counter = counter + 1
    index[node], low[node], on_stack[node] = counter, counter, true
    stack[#stack + 1] = node
  end

  local function close(root)
    local component = {}
    repeat
      local node = table.remove(stack)
      on_stack[node] = nil
      component[#component + 1] = node
    until node == root
    result[#result + 1] = component
  end

  for _, start in ipairs(nodes) do
    if not index[start] then
      open(start)
      local work = { { node = start, edge = 0 } }
      while #work > 0 do
        local frame = work[#work]
        local node = frame.node
        frame.edge = frame.edge + 1
        local target = node.succ[frame.edge]
        if not target then
          work[#work] = nil
          if low[node] == index[node] then close(node) end
          local parent = work[#work]
          if parent and low[node] < low[parent.node] then
            low[parent.node] = low[node]
          end
        elseif not index[target] then
          open(target)
          work[#work + 1] = { node = target, edge = 0 }
        elseif on_stack[target] and index[target] < low[node] then
          low[node] = index[target]
        end
      end
    end
  end
  return result
end

-- One new node per component; edges inside a component and duplicates vanish.
local function collapse(parts)
  local home, nodes = {}, {}
  for i, part in ipairs(parts) do
    local node = new_node(i)
    node.weight = 0
    for _, old in ipairs(part) do
      node.weight = node.weight + old.weight
      home[old] = node
    end
    nodes[i] = node
  end
  for i, part in ipairs(parts) do
    local from, seen = nodes[i], {}
    for _, old in ipairs(part) do
      for _, target in ipairs(old.succ) do
        local to = home[target]
        if to ~= from and not seen[to] then
          seen[to] = true
          from.succ[#from.succ + 1] = to
        end
      end
    end
  end
  return nodes
end

local function summary(nodes)
  local edges, hash, heaviest = 0, 0, 0
  for _, node in ipairs(nodes) do
    edges = edges + #node.succ
    heaviest = math.max(heaviest, node.weight)
    hash = (hash * 31 + node.weight) & 0xffffffff
    for _, to in ipairs(node.succ) do
      hash = (hash * 31 + to.id) & 0xffffffff
    end
  end
  return string.format("nodes %d edges %d heaviest %d hash %08x", #nodes, edges, heaviest, hash)
end

for _, shape in ipairs { { 50, n }, { 100, n }, { 200, n }, { 100, 4 }, { 150, 4 }, { 200, 2 } } do
  local percent, reach = shape[1], shape[2]
  local graph = random_graph(n, percent, reach)
  print(string.format("%d%% edges, reach %d: %s", percent, reach, summary(graph)))
  local parts = components(graph)
  local loops = 0
  for _, part in ipairs(parts) do
    if #part > 1 then loops = loops + 1 end
  end
  graph = collapse(parts)
  print(string.format("  %d loops; collapsed: %s", loops, summary(graph)))
  -- A collapsed graph is acyclic: every component is one node now.
  print("  acyclic: " .. tostring(#components(graph) == #graph))
end
