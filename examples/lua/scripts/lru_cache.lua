-- lru_cache: a least-recently-used cache of bounded size (doubly linked list plus
-- a map from key to list node) under a skewed stream of requests.
-- Stresses: objects of medium lifetime (the case generational guesses get wrong),
-- pointer stores into old nodes at every access, a hash table with steady
-- insertion and removal.
-- Size: the number of requests.

local n = tonumber(arg and arg[1]) or 200000

local Cache = {}
Cache.__index = Cache

function Cache.new(capacity)
  local head, tail = {}, {}
  head.next, tail.prev = tail, head
  return setmetatable({
    capacity = capacity, size = 0, map = {}, head = head, tail = tail,
    hits = 0, misses = 0, evictions = 0,
  }, Cache)
end

local function unlink(node)
  node.prev.next, node.next.prev = node.next, node.prev
end

function Cache:push_front(node)
  local first = self.head.next
  node.prev, node.next = self.head, first
  self.head.next, first.prev = node, node
end

function Cache:get(key)
  local node = self.map[key]
  if not node then
    self.misses = self.misses + 1
    return nil
  end
  self.hits = self.hits + 1
  unlink(node)
  self:push_front(node)
  return node.value
end

function Cache:put(key, value)
  local node = self.map[key]
  if node then
    node.value = value
    unlink(node)
    self:push_front(node)
    return
  end
  if self.size >= self.capacity then
    local oldest = self.tail.prev
    unlink(oldest)
    self.map[oldest.key] = nil
    self.size = self.size - 1
    self.evictions = self.evictions + 1
  end
  node = { key = key, value = value }
  self.map[key] = node
  self:push_front(node)
  self.size = self.size + 1
end

local seed = 2024
local function random(limit)
  seed = (seed * 1103515245 + 12345) & 0x7fffffff
  return (seed >> 8) % limit
end

-- Half of the requests go to one sixteenth of the keys.
local function next_key(universe)
  local id = random(2) == 0 and random(universe // 16 + 1) or random(universe)
  return "key" .. id
end

local function run(capacity, universe)
  local cache = Cache.new(capacity)
  local sum = 0
  for i = 1, n do
    local key = next_key(universe)
    local value = cache:get(key)
    if not value then
      value = { text = key .. ":" .. i, stamp = i }
      cache:put(key, value)
    end
    sum = (sum * 31 + value.stamp + #value.text) & 0xffffffff
  end

  -- The list and the map must agree.
  local length, node = 0, cache.head.next
  while node ~= cache.tail do
    assert(cache.map[node.key] == node and node.next.prev == node)
    length = length + 1
    node = node.next
  end
  assert(length == cache.size)
  print(string.format("capacity %d of %d: hits %d misses %d evictions %d size %d checksum %08x",
    capacity, universe, cache.hits, cache.misses, cache.evictions, cache.size, sum))
end

-- Capacities leave some air below the next power of two: a full hash part that is
-- exactly filled would be rehashed at every insertion.
run(12, 48)
run(190, 760)
run(3000, 24000)
