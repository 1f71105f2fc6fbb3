-- priority_queue: a discrete event simulation of a bank with several counters,
-- driven by a binary heap of event objects with closures as handlers.
-- Stresses: a long-lived array whose entries are replaced all the time, closures
-- captured by pending events, queues of objects of medium lifetime.
-- Size: the number of customers.

local n = tonumber(arg and arg[1]) or 20000

local Heap = {}
Heap.__index = Heap

function Heap.new(before)
  return setmetatable({ before = before, size = 0 }, Heap)
end

function Heap:push(item)
  local before = self.before
  self.size = self.size + 1
  local i = self.size
  while i > 1 do
    local parent = i // 2
    if not before(item, self[parent]) then break end
    self[i] = self[parent]
    i = parent
  end
  self[i] = item
end

function Heap:pop()
  local size = self.size
  if size == 0 then return nil end
  local top, item, before = self[1], self[size], self.before
  self[size] = nil
  size = size - 1
  self.size = size
  if size == 0 then return top end
  local i = 1
  while true do
    local child = 2 * i
    if child > size then break end
    if child < size and before(self[child + 1], self[child]) then child = child + 1 end
    if not before(self[child], item) then break end
    self[i] = self[child]
    i = child
  end
  self[i] = item
  return top
end

local seed = 99
local function random(limit)
  seed = (seed * 1103515245 + 12345) & 0x7fffffff
  return (seed >> 8) % limit
end

local now, sequence = 0, 0
local events = Heap.new(function(a, b)
  if a.time ~= b.time then return a.time < b.time end
  return a.sequence < b.sequence
end)

local function at(delay, action)
  sequence = sequence + 1
  events:push({ time = now + delay, sequence = sequence, action = action })
end

local idle, waiting, first_waiting = 3, {}, 1
local served, total_wait, longest_queue, hash = 0, 0, 0, 0

local function start_service(customer)
  idle = idle - 1
  total_wait = total_wait + (now - customer.arrived)
  at(20 + random(60), function()
    idle = idle + 1
    served = served + 1
    hash = (hash * 31 + customer.id * 7 + now) & 0xffffffff
    local following = waiting[first_waiting]
    if following then
      waiting[first_waiting] = nil
      first_waiting = first_waiting + 1
      start_service(following)
    end
  end)
end

-- `waiting` holds the queue between two moving indices; entries that left are nil.
local last_waiting = 0

local function arrive(id)
  local customer = { id = id, arrived = now, name = "customer " .. id }
  if idle > 0 then
    start_service(customer)
  else
    last_waiting = last_waiting + 1
    waiting[last_waiting] = customer
    longest_queue = math.max(longest_queue, last_waiting - first_waiting + 1)
  end
end

-- All arrivals are known in advance, so the heap is large at the start.
do
  local time = 0
  for id = 1, n do
    time = time + random(32)
    at(time, function() arrive(id) end)
  end
end

local handled = 0
while true do
  local event = events:pop()
  if not event then break end
  assert(event.time >= now, "time runs backwards")
  now = event.time
  handled = handled + 1
  event.action()
end

print(string.format("events %d, served %d, end %d", handled, served, now))
print(string.format("total wait %d, longest queue %d, checksum %08x", total_wait, longest_queue, hash))

-- Heap sort with a different order, as a check of the heap itself.
local by_name = Heap.new(function(a, b) return a < b end)
for i = 1, n // 4 do by_name:push(string.format("%06d-%d", random(1000000), i)) end
local previous, ordered, concat_hash = "", true, 0
for name in function() return by_name:pop() end do
  ordered = ordered and previous < name
  previous = name
  concat_hash = (concat_hash * 31 + tonumber(name:sub(1, 6))) & 0xffffffff
end
print(string.format("sorted: %s, checksum %08x", tostring(ordered), concat_hash))
