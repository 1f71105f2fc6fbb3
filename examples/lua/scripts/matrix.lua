-- matrix: multiplication, transposition and elimination on matrices that are
-- tables of row tables, with integers and with floats.
-- Stresses: array parts of tables, numeric loops, large pointer-free arrays that
-- are reachable through one level of pointers.
-- Size: the number of rows and columns.

local n = tonumber(arg and arg[1]) or 60

local function generate(rows, columns, f)
  local m = {}
  for i = 1, rows do
    local row = {}
    for j = 1, columns do row[j] = f(i, j) end
    m[i] = row
  end
  return m
end

local function transpose(m)
  local t = {}
  for j = 1, #m[1] do
    local row = {}
    for i = 1, #m do row[i] = m[i][j] end
    t[j] = row
  end
  return t
end

local function multiply(a, b)
  local columns = transpose(b)
  local c = {}
  for i, row in ipairs(a) do
    local out = {}
    for j, column in ipairs(columns) do
      local sum = 0
      for k = 1, #row do sum = sum + row[k] * column[k] end
      out[j] = sum
    end
    c[i] = out
  end
  return c
end

local function equal(a, b)
  for i = 1, #a do
    for j = 1, #a[i] do
      if a[i][j] ~= b[i][j] then return false end
    end
  end
  return #a == #b
end

local function trace(m)
  local sum = 0
  for i = 1, #m do sum = sum + m[i][i] end
  return sum
end

-- Integers: exact, so algebraic laws can be checked.
local a = generate(n, n, function(i, j) return (i * 7 + j * 3) % 11 - 5 end)
local b = generate(n, n, function(i, j) return (i * j) % 7 - 3 end)
local identity = generate(n, n, function(i, j) return i == j and 1 or 0 end)

local ab = multiply(a, b)
print(string.format("trace(AB) %d, trace(BA) %d", trace(ab), trace(multiply(b, a))))
print("A I == A: " .. tostring(equal(multiply(a, identity), a)))
print("(AB)^T == B^T A^T: " .. tostring(equal(transpose(ab), multiply(transpose(b), transpose(a)))))

local power = identity
for _ = 1, 4 do power = multiply(power, a) end
print(string.format("trace(A^4) %d, type %s", trace(power), math.type(power[1][1])))

-- Floats: Gauss elimination on a diagonally dominant system with known solution.
local system = generate(n, n, function(i, j) return i == j and n + 1.0 or 1.0 / (i + j) end)
local solution = generate(n, 1, function(i) return i % 5 - 2.0 end)
local right = multiply(system, solution)

for pivot = 1, n do
  local row, scale = system[pivot], system[pivot][pivot]
  for r = pivot + 1, n do
    local factor = system[r][pivot] / scale
    local target = system[r]
    for j = pivot, n do target[j] = target[j] - factor * row[j] end
    right[r][1] = right[r][1] - factor * right[pivot][1]
  end
end

local x = {}
for i = n, 1, -1 do
  local sum = right[i][1]
  for j = i + 1, n do sum = sum - system[i][j] * x[j] end
  x[i] = sum / system[i][i]
end

local worst, sum = 0.0, 0.0
for i = 1, n do
  worst = math.max(worst, math.abs(x[i] - solution[i][1]))
  sum = sum + (x[i] + 10) * i
end
print(string.format("solved: worst error below 1e-9: %s, weighted sum %.3f", tostring(worst < 1e-9), sum))
