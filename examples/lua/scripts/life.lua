-- life: Conway's game of life on an unbounded board, kept as a sparse set of live
-- cells under string keys "x,y".
-- Stresses: hash tables that are rebuilt from nothing in every generation, short
-- strings made and interned at a high rate.
-- Size: the number of generations.

local n = tonumber(arg and arg[1]) or 100

local function key(x, y) return x .. "," .. y end

local function parse(pattern, x0, y0)
  local cells = {}
  local y = y0
  for line in pattern:gmatch("[^/]+") do
    local x = x0
    for c in line:gmatch(".") do
      if c == "#" then cells[key(x, y)] = { x = x, y = y } end
      x = x + 1
    end
    y = y + 1
  end
  return cells
end

local function step(cells)
  local neighbours, at = {}, {}
  for _, cell in pairs(cells) do
    for dx = -1, 1 do
      for dy = -1, 1 do
        if dx ~= 0 or dy ~= 0 then
          local x, y = cell.x + dx, cell.y + dy
          local k = key(x, y)
          neighbours[k] = (neighbours[k] or 0) + 1
          if not at[k] then at[k] = { x = x, y = y } end
        end
      end
    end
  end
  local next_cells = {}
  for k, count in pairs(neighbours) do
    if count == 3 or (count == 2 and cells[k]) then next_cells[k] = at[k] end
  end
  return next_cells
end

-- Population, bounding box and a checksum that does not depend on any order.
local function describe(cells)
  local population, hash = 0, 0
  local min_x, max_x, min_y, max_y = math.maxinteger, math.mininteger, math.maxinteger, math.mininteger
  for _, cell in pairs(cells) do
    population = population + 1
    hash = (hash + (cell.x * 73856093 ~ cell.y * 19349663)) & 0xffffffff
    min_x, max_x = math.min(min_x, cell.x), math.max(max_x, cell.x)
    min_y, max_y = math.min(min_y, cell.y), math.max(max_y, cell.y)
  end
  if population == 0 then return "empty" end
  return string.format("population %d, x %d..%d, y %d..%d, checksum %08x", population, min_x, max_x, min_y, max_y, hash)
end

local patterns = {
  { "blinker", "###" },
  { "glider", ".#./..#/###" },
  { "r-pentomino", ".##/##./.#." },
  { "acorn", ".#...../...#.../##..###" },
  { "diehard", "......#./##....../.#...###" },
  { "spaceship", ".#..#/#..../#...#/####." },
}

for _, entry in ipairs(patterns) do
  local name, pattern = entry[1], entry[2]
  local cells = parse(pattern, 0, 0)
  for _ = 1, n do cells = step(cells) end
  print(string.format("%-12s after %d: %s", name, n, describe(cells)))
end

-- Draw a small board as it ends up.
do
  local cells = parse("##.#/#.##/.#.#", 3, 3)
  for _ = 1, math.min(n, 10) do cells = step(cells) end
  for y = 0, 9 do
    local row = {}
    for x = 0, 11 do row[#row + 1] = cells[key(x, y)] and "#" or "." end
    print(table.concat(row))
  end
end
