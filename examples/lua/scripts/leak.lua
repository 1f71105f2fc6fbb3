-- A program with a leak: it remembers every page that it has made. `docs/looking-inside.md` finds the
-- line. It prints how many pages it has seen; an argument says how many it makes.

local seen = {}

local function remember(name, text)
  seen[#seen + 1] = { name = name, text = text, size = #text }
end

local function render(n)
  local parts = {}
  for i = 1, 20 do
    parts[i] = string.format("<p>%d.%d</p>", n, i)
  end
  return table.concat(parts, "\n")
end

local pages = coroutine.wrap(function(count)
  for n = 1, count do
    coroutine.yield(n, render(n))
  end
end)

local count = tonumber(arg and arg[1]) or 20000
for _ = 1, count do
  local n, text = pages(count)
  remember("page " .. n, text)
end
print(#seen)
-- Programs that end in `os.exit` have no profile, and those that return have let go of their locals.
keep = seen
