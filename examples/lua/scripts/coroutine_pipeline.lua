-- coroutine_pipeline: chains of producers, filters and consumers, each stage a
-- coroutine; then a round-robin scheduler with many short-lived tasks.
-- Stresses: allocation and death of coroutines and their stacks, values that are
-- reachable only from a suspended stack, abandoned coroutines.
-- Size: the number of items sent through each chain.

local n = tonumber(arg and arg[1]) or 20000

local function produce(limit)
  return coroutine.wrap(function()
    for i = 1, limit do
      coroutine.yield({ value = i, trail = "p" })
    end
  end)
end

local function map(source, name, f)
  return coroutine.wrap(function()
    for item in source do
      coroutine.yield({ value = f(item.value), trail = item.trail .. name })
    end
  end)
end

local function filter(source, accept)
  return coroutine.wrap(function()
    for item in source do
      if accept(item.value) then coroutine.yield(item) end
    end
  end)
end

local function consume(source)
  local count, sum, trail = 0, 0, ""
  for item in source do
    count = count + 1
    sum = (sum * 31 + item.value) & 0xffffffff
    trail = item.trail
  end
  return string.format("%d items, checksum %08x, trail %s", count, sum, trail)
end

-- One chain of fixed length.
do
  local chain = produce(n)
  chain = map(chain, "a", function(v) return v * 3 end)
  chain = filter(chain, function(v) return v % 2 == 0 end)
  chain = map(chain, "b", function(v) return v // 2 + 1 end)
  chain = filter(chain, function(v) return v % 5 ~= 0 end)
  print("chain: " .. consume(chain))
end

-- Chains of growing length: the sieve of Eratosthenes, one filter per prime.
do
  local source = coroutine.wrap(function()
    for i = 2, math.huge do coroutine.yield(i) end
  end)
  local function without_multiples(of, rest)
    return coroutine.wrap(function()
      while true do
        local v = rest()
        if v % of ~= 0 then coroutine.yield(v) end
      end
    end)
  end
  local primes = {}
  for i = 1, math.min(60, n // 100 + 3) do
    local prime = source()
    primes[i] = string.format("%d", prime)
    source = without_multiples(prime, source)
  end
  print("primes: " .. table.concat(primes, " "))
  -- The whole chain is abandoned here, suspended.
end

-- A scheduler: tasks yield, spawn others, and finish; messages go by mailboxes.
do
  local ready, finished, log = {}, 0, 0
  local spawned = 0
  local function spawn(f, ...)
    spawned = spawned + 1
    ready[#ready + 1] = { co = coroutine.create(f), args = table.pack(...) }
  end

  local function task(id, depth)
    local mailbox = {}
    for step = 1, 3 do
      mailbox[step] = { id = id, step = step }
      local received = coroutine.yield(mailbox[step])
      log = (log * 31 + received) & 0xffffffff
    end
    if depth > 0 then
      spawn(task, id * 2 % 1000003, depth - 1)
      if id % 3 == 0 then spawn(task, (id * 2 + 1) % 1000003, depth - 1) end
    end
    return #mailbox
  end

  for i = 1, math.max(2, n // 100) do spawn(task, i, 6) end

  while #ready > 0 do
    local batch = ready
    ready = {}
    for _, entry in ipairs(batch) do
      local ok, message = coroutine.resume(entry.co, table.unpack(entry.args, 1, entry.args.n))
      assert(ok, message)
      if coroutine.status(entry.co) == "dead" then
        finished = finished + message
      else
        entry.args = { message.id + message.step, n = 1 }
        ready[#ready + 1] = entry
      end
    end
  end
  print(string.format("scheduler: %d tasks, %d steps, checksum %08x", spawned, finished, log))
end
