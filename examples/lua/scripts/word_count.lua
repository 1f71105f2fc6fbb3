-- word_count: generates text with a pseudo random generator, splits it into words,
-- counts them, and sorts by count and then alphabetically.
-- Stresses: gmatch over a long string, many short-lived substrings of which some
-- become long-lived keys, table.sort with a comparison closure.
-- Size: the number of words in the text.

local n = tonumber(arg and arg[1]) or 50000

local seed = 12345
local function random(limit)
  seed = (seed * 1103515245 + 12345) & 0x7fffffff
  return (seed >> 8) % limit
end

local syllables = {
  "ka", "lo", "mi", "ner", "ta", "vu", "sol", "pi", "dra", "qu", "el", "or", "ith", "um", "ez", "ba",
}

-- The product of two random numbers favours short words of early syllables.
local function word()
  local s = ""
  for _ = 0, random(3) * random(3) // 2 do
    s = s .. syllables[random(4) * random(5) + 1]
  end
  if random(8) == 0 then s = s:sub(1, 1):upper() .. s:sub(2) end
  return s
end

local separators = { " ", " ", " ", ", ", ". ", "\n", " - ", "\t" }

local function generate(words)
  local parts = {}
  for i = 1, words do
    parts[2 * i - 1] = word()
    parts[2 * i] = separators[random(#separators) + 1]
  end
  return table.concat(parts)
end

local text = generate(n)

local counts, distinct, letters = {}, {}, 0
for w in text:gmatch("%a+") do
  w = w:lower()
  letters = letters + #w
  local count = counts[w]
  if count then
    counts[w] = count + 1
  else
    counts[w] = 1
    distinct[#distinct + 1] = w
  end
end

table.sort(distinct, function(a, b)
  if counts[a] ~= counts[b] then return counts[a] > counts[b] end
  return a < b
end)

local lines = select(2, text:gsub("\n", "\n")) + 1
print(string.format("%d bytes, %d lines, %d words, %d letters, %d distinct", #text, lines, n, letters, #distinct))
for i = 1, math.min(12, #distinct) do
  print(string.format("%8d  %s", counts[distinct[i]], distinct[i]))
end

-- Index by first letter and length, each group joined in sorted order.
local groups, names = {}, {}
for _, w in ipairs(distinct) do
  local name = w:sub(1, 1) .. #w
  if not groups[name] then
    groups[name] = {}
    names[#names + 1] = name
  end
  table.insert(groups[name], w)
end
table.sort(names)
local hash = 0
for _, name in ipairs(names) do
  table.sort(groups[name])
  for c in table.concat(groups[name], " "):gmatch("[aeiou]") do
    hash = (hash * 31 + c:byte()) & 0xffffffff
  end
end
print(string.format("%d groups, checksum %08x", #names, hash))

local longest = ""
for _, w in ipairs(distinct) do
  if #w > #longest or (#w == #longest and w < longest) then longest = w end
end
print("longest: " .. longest)
