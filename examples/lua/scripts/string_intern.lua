-- string_intern: makes the same short strings over and over by different routes and
-- uses them as table keys; long strings on both sides of any interning limit too.
-- Stresses: string equality across separately built strings, the intern table under
-- churn, keys whose last reference is the table itself.
-- Size: the number of rounds.

local n = tonumber(arg and arg[1]) or 20000

-- The same key from four different constructions must find the same slot.
do
  local slots, found = {}, 0
  for i = 0, 99 do slots["key" .. i] = i end
  for i = 1, n do
    local id = i * 7 % 100
    local a = "key" .. id
    local b = string.format("key%d", id)
    local c = table.concat({ "k", "e", "y", id })
    local d = ("xkey" .. id .. "x"):sub(2, -2)
    if slots[a] == id and slots[b] == id and slots[c] == id and slots[d] == id
      and a == b and b == c and c == d then
      found = found + 1
    end
  end
  print(string.format("four routes: %d of %d", found, n))
end

-- A sliding window of keys: every string becomes garbage soon after it leaves.
do
  local window, width, sum = {}, 64, 0
  for i = 1, n do
    window["w" .. i] = i
    local old = window["w" .. (i - width)]
    if old then
      sum = sum + old
      window["w" .. old] = nil
    end
  end
  local left = 0
  for _ in pairs(window) do left = left + 1 end
  print(string.format("window: removed sum %d, left %d", sum, left))
end

-- Strings of growing length around 40 bytes: short and long ones behave the same.
do
  local kept, hits = {}, 0
  for length = 30, 50 do kept[("z"):rep(length)] = length end
  for i = 1, n do
    local length = 30 + i % 21
    local s = ("z"):rep(length - 10) .. ("z"):rep(10)
    if kept[s] == length then hits = hits + 1 end
    if kept[s .. "y"] ~= nil then hits = hits - 1 end
  end
  print(string.format("lengths: %d hits", hits))
end

-- Every substring of a text, counted; most occur many times.
do
  local text = ("abracadabra"):rep(3) .. "simsalabim"
  local counts, distinct = {}, 0
  local rounds = n // 1000 + 1
  for _ = 1, rounds do
    for i = 1, #text do
      for j = i, math.min(#text, i + 5) do
        local s = text:sub(i, j)
        if not counts[s] then
          counts[s] = 0
          distinct = distinct + 1
        end
        counts[s] = counts[s] + 1
      end
    end
  end
  print(string.format("substrings: %d distinct, 'abra' %d, 'a' %d", distinct, counts.abra // rounds, counts.a // rounds))
end

-- Binary keys with embedded zeros, and keys that differ only in their last byte.
do
  local map, sum = {}, 0
  for i = 1, n do
    local key = string.char(i % 3, 0, i % 256, 0) .. "tail"
    map[key] = (map[key] or 0) + i
    sum = (sum + map[string.char(i % 3) .. "\0" .. string.char(i % 256) .. "\0tail"]) & 0xffffffff
  end
  local distinct = 0
  for _ in pairs(map) do distinct = distinct + 1 end
  print(string.format("binary: %d distinct, sum %08x", distinct, sum))
end

-- Numbers to strings and back.
do
  local sum, same = 0, 0
  for i = 1, n do
    local s = tostring(i % 500)
    sum = sum + s
    if s == i % 500 .. "" then same = same + 1 end
  end
  print(string.format("numbers: sum %d, same %d", sum, same))
end
