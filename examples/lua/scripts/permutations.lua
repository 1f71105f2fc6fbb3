-- permutations: generators by recursive coroutines: permutations, subsets, integer
-- partitions, and tree walks whose every level is a coroutine of its own.
-- Stresses: nested resumes, coroutines that live for one value only, copies of
-- small arrays.
-- Size: the number of elements to permute.

local n = tonumber(arg and arg[1]) or 7

-- All permutations of a list, in Heap's order, as fresh copies.
local function permutations(list)
  local function generate(k)
    if k <= 1 then
      coroutine.yield(table.move(list, 1, #list, 1, {}))
      return
    end
    for i = 1, k do
      generate(k - 1)
      local j = k % 2 == 0 and i or 1
      if i < k then list[j], list[k] = list[k], list[j] end
    end
  end
  return coroutine.wrap(function() generate(#list) end)
end

-- All subsets: the recursion is a chain of coroutines, one per element.
local function subsets(list, from)
  from = from or 1
  return coroutine.wrap(function()
    if from > #list then
      coroutine.yield({})
      return
    end
    for rest in subsets(list, from + 1) do
      coroutine.yield(rest)
      local with = { list[from], table.unpack(rest) }
      coroutine.yield(with)
    end
  end)
end

-- Partitions of an integer into parts of at most `largest`, as strings.
local function partitions(total, largest)
  return coroutine.wrap(function()
    if total == 0 then
      coroutine.yield("")
      return
    end
    for part = math.min(total, largest), 1, -1 do
      for rest in partitions(total - part, part) do
        coroutine.yield(rest == "" and tostring(part) or part .. "+" .. rest)
      end
    end
  end)
end

-- In-order walk of a search tree, one coroutine per node.
local function insert(tree, value)
  if not tree then return { value = value } end
  local side = value < tree.value and "left" or "right"
  tree[side] = insert(tree[side], value)
  return tree
end

local function walk(tree)
  return coroutine.wrap(function()
    if not tree then return end
    for value in walk(tree.left) do coroutine.yield(value) end
    coroutine.yield(tree.value)
    for value in walk(tree.right) do coroutine.yield(value) end
  end)
end

local letters = {}
for i = 1, n do letters[i] = string.char(96 + i) end

do
  local count, hash, last = 0, 0, nil
  local seen, repeated = {}, 0
  for p in permutations(letters) do
    local s = table.concat(p)
    if seen[s] then repeated = repeated + 1 end
    seen[s] = true
    count = count + 1
    hash = (hash * 31 + s:byte(1) * 7 + s:byte(-1)) & 0xffffffff
    last = s
  end
  print(string.format("permutations: %d, repeated %d, checksum %08x, last %s", count, repeated, hash, last))
end

do
  local count, items = 0, 0
  table.sort(letters)
  for subset in subsets(letters) do
    count = count + 1
    items = items + #subset
  end
  print(string.format("subsets: %d with %d items", count, items))
end

do
  local count, total = 0, 0
  for p in partitions(n + 3, n + 3) do
    count = count + 1
    total = total + #p
  end
  print(string.format("partitions of %d: %d, text %d", n + 3, count, total))
end

do
  local seed, tree = 5, nil
  for _ = 1, n * 20 do
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    tree = insert(tree, (seed >> 8) % 1000)
  end
  local previous, ordered, sum = -1, true, 0
  for value in walk(tree) do
    ordered = ordered and previous <= value
    previous = value
    sum = sum + value
  end
  print(string.format("walk: ordered %s, sum %d", tostring(ordered), sum))
end
