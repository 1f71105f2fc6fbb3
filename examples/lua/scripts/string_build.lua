-- string_build: the many ways in which Lua programs make strings.
-- Stresses: concatenation chains, growing one string byte by byte, table.concat,
-- string.rep, gsub with string / table / function replacements, string.format,
-- and the transient garbage all of them leave behind.
-- Size: the number of steps in every section.

local n = tonumber(arg and arg[1]) or 5000

local function checksum(s)
  local hash = #s
  for i = 1, #s, math.max(1, #s // 997) do
    hash = (hash * 131 + s:byte(i)) & 0xffffffff
  end
  return hash
end

local function report(name, s)
  print(string.format("%-12s %8d bytes %08x", name, #s, checksum(s)))
end

-- Grow a string by one piece at a time: quadratic copying, restarted now and then.
do
  local s, total = "", {}
  for i = 1, n do
    s = s .. i .. ","
    if #s > 2000 then
      total[#total + 1] = s:sub(1, 8)
      s = ""
    end
  end
  report("append", table.concat(total) .. s)
end

-- The buffer idiom.
do
  local buffer = {}
  for i = 1, n do
    buffer[#buffer + 1] = "line " .. i .. " of " .. n
  end
  report("concat", table.concat(buffer, "\n"))
  report("concat range", table.concat(buffer, "; ", n // 2, n))
end

-- Long concatenations in one expression.
do
  local last = ""
  for i = 1, n do
    last = "<" .. i .. ":" .. (i * 7 % 13) .. "|" .. i % 2 .. "|" .. "x" .. ">" .. #last
  end
  report("chain", last)
end

-- string.rep, with and without separator, and slices of the result.
do
  local parts = {}
  for i = 1, n do
    local s = ("ab"):rep(i % 50) .. ("c"):rep(i % 7, "-")
    parts[i] = s:sub(-10, -3)
  end
  report("rep", table.concat(parts))
end

-- gsub in its three forms.
do
  local text = ("The quick brown fox jumps over the lazy dog. "):rep(n // 50 + 1)
  report("gsub string", (text:gsub("(%w+) (%w+)", "%2 %1")))
  report("gsub table", (text:gsub("%w+", { quick = "slow", lazy = "eager", dog = "cat" })))
  local count = 0
  report("gsub func", (text:gsub("%a+", function(word)
    count = count + 1
    if count % 3 == 0 then return word:upper() end
  end)))
  report("reverse", text:reverse():lower())
end

-- string.format with every common directive.
do
  local parts = {}
  for i = 1, n do
    parts[i] = string.format("%05d|%x|%-6s|%6.2f|%q|%c|%%|%i", i, i * 31, "s" .. i % 10, i / 8, "q\n" .. i % 3, 65 + i % 26, -i)
  end
  report("format", table.concat(parts))
end

-- Character codes to strings and back.
do
  local parts = {}
  for i = 1, n do
    local s = string.char(97 + i % 26, 97 + i * 3 % 26, 97 + i * 7 % 26)
    parts[i] = string.char(s:byte(3), s:byte(1))
  end
  report("char", table.concat(parts, " "))
end
