-- Allocates for as many seconds as the argument says (five without one) in ways that are hard to
-- collect: caches with weak keys, weak values and both, objects with finalizers that revive others,
-- coroutines that are left in the middle, closures that share variables, and strings. What is held at
-- any time is bounded, so memory has to stay flat; the script checks what the language promises.

local seconds = tonumber(arg and arg[1]) or 5
local clock = os.clock

-- Caches. Keys and values are new objects in every round.
local by_key = setmetatable({}, { __mode = "k" })
local by_value = setmetatable({}, { __mode = "v" })
local by_both = setmetatable({}, { __mode = "kv" })

local function fill_caches(round, held)
  for i = 1, 50 do
    local key, value = { round, i }, { round + i }
    -- A value that leads to its key does not keep it.
    by_key[key] = { key, value }
    by_value[round * 50 + i] = value
    by_both[key] = value
    if i % 10 == 0 then
      held[#held % 200 + 1] = key
    end
  end
  -- Not every time: what a weak table shows while the collector marks lives until the next cycle.
  if round % 50 == 0 then
    for key, value in pairs(by_key) do
      assert(value[1] == key, "an ephemeron has its own value")
    end
  end
end

-- Finalizers. Each object is finalized once; some register a successor, some are held once more.
local made, finalized, revived = 0, 0, {}
local Resource = {}
Resource.__index = Resource
Resource.__gc = function(self)
  assert(not self.closed, "finalized twice")
  self.closed = true
  finalized = finalized + 1
  revived[finalized % 100 + 1] = self.partner
  if self.generation < 3 then
    made = made + 1
    setmetatable({ generation = self.generation + 1, partner = { self } }, Resource)
  end
end

local function make_resources()
  for i = 1, 20 do
    made = made + 1
    setmetatable({ generation = 0, partner = { i } }, Resource)
  end
end

-- Coroutines: some run to their end, most are left where they wait, some with a variable to close.
local waiting = {}
local function start_coroutines(round)
  for i = 1, 20 do
    local co = coroutine.create(function(first)
      local guard <close> = setmetatable({}, { __close = function() end })
      local sum = first
      local function add(n)
        sum = sum + n
        return sum
      end
      while sum < 100 do
        add(coroutine.yield(sum, add))
      end
      return sum
    end)
    assert(coroutine.resume(co, round % 7))
    assert(coroutine.resume(co, i))
    waiting[(round * 20 + i) % 300 + 1] = co
  end
  for _, co in pairs(waiting) do
    if coroutine.status(co) == "suspended" then
      assert(coroutine.resume(co, 9))
    end
  end
end

local function make_strings(round)
  local parts = {}
  for i = 1, 50 do
    parts[i] = ("%d:%s"):format(round, ("x"):rep(i % 13))
  end
  local text = table.concat(parts, ",")
  assert(#text:gsub("x", "") + select(2, text:gsub("x", "")) == #text)
  return text
end

local rounds, held, most_kb, most_late_kb = 0, {}, 0, 0
local last_text
local start = clock()
while clock() - start < seconds do
  rounds = rounds + 1
  fill_caches(rounds, held)
  make_resources()
  start_coroutines(rounds)
  last_text = make_strings(rounds)
  local kb = collectgarbage("count")
  if clock() - start < seconds / 2 then
    most_kb = math.max(most_kb, kb)
  else
    most_late_kb = math.max(most_late_kb, kb)
  end
end

-- Without the keys that were held the caches empty. All but a few resources of the last rounds, and
-- their successors, have been finalized.
held = nil
collectgarbage()
collectgarbage()
collectgarbage()
assert(finalized > made * 0.9, finalized .. " of " .. made)
assert(next(by_key) == nil and next(by_value) == nil and next(by_both) == nil, "the caches are empty")
print(("%d rounds, %d finalized of %d, at most %.0f KiB in the first half, %.0f in the second"):format(
  rounds, finalized, made, most_kb, most_late_kb))
