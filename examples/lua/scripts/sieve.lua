-- sieve: prime numbers four ways: a table of flags, a wheel with string bytes, lists
-- of remaining candidates, and factor tables of all numbers.
-- Stresses: growing and shrinking arrays, one long string per round, many small
-- arrays alive at the same time.
-- Size: the upper bound of the search.

local n = tonumber(arg and arg[1]) or 50000

local function by_flags(limit)
  local composite, primes = {}, {}
  for i = 2, limit do
    if not composite[i] then
      primes[#primes + 1] = i
      for j = i * i, limit, i do composite[j] = true end
    end
  end
  return primes
end

-- Strike out by rebuilding a string of marks, for a small bound only.
local function by_strings(limit)
  local marks = ("1"):rep(limit)
  marks = "0" .. marks:sub(2)
  local p = 2
  while p * p <= limit do
    if marks:byte(p) == 49 then
      local pieces, from = { marks:sub(1, p) }, p + 1
      while from <= limit do
        pieces[#pieces + 1] = marks:sub(from, math.min(from + p - 2, limit))
        if from + p - 1 <= limit then pieces[#pieces + 1] = "0" end
        from = from + p
      end
      marks = table.concat(pieces)
    end
    p = p + 1
  end
  return select(2, marks:gsub("1", ""))
end

-- The functional way: filter the list of candidates by its head.
local function by_lists(limit)
  local candidates = {}
  for i = 2, limit do candidates[#candidates + 1] = i end
  local primes = {}
  while candidates[1] and candidates[1] * candidates[1] <= limit do
    local p = candidates[1]
    primes[#primes + 1] = p
    local rest = {}
    for i = 2, #candidates do
      if candidates[i] % p ~= 0 then rest[#rest + 1] = candidates[i] end
    end
    candidates = rest
  end
  return table.move(candidates, 1, #candidates, #primes + 1, primes)
end

-- Prime factors of every number: the list of i shares nothing with that of i / p.
local function factor_lists(limit)
  local lists = { {} }
  local smallest = {}
  for i = 2, limit do
    if not smallest[i] then
      for j = i, limit, i do smallest[j] = smallest[j] or i end
    end
    local p = smallest[i]
    local list = { p }
    for k, q in ipairs(lists[i // p]) do list[k + 1] = q end
    lists[i] = list
  end
  return lists
end

local function checksum(list)
  local hash = 0
  for _, v in ipairs(list) do hash = (hash * 31 + v) & 0xffffffff end
  return string.format("%d values, last %d, checksum %08x", #list, list[#list], hash)
end

print("flags:   " .. checksum(by_flags(n)))
print("lists:   " .. checksum(by_lists(n)))
print("strings: " .. by_strings(n // 4) .. " against " .. #by_flags(n // 4))

local lists = factor_lists(n // 2)
local most, richest, total = 0, 0, 0
for i = 1, #lists do
  local product = 1
  for _, p in ipairs(lists[i]) do product = product * p end
  assert(product == i)
  total = total + #lists[i]
  if #lists[i] > most then most, richest = #lists[i], i end
end
print(string.format("factors: %d in all, most %d for %d = %s", total, most, richest, table.concat(lists[richest], "*")))
