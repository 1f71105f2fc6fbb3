-- nqueens: counts the solutions of the n-queens problem in three styles.
-- Stresses: closures as linked data (every placed queen is a closure over the
-- previous ones), stateful iterators, and copying of small arrays.
-- Size: the number of queens.

local n = tonumber(arg and arg[1]) or 8

-- Style 1: a board is a predicate; placing a queen wraps it in a new closure.
local function empty_board() return false end

local function place(attacked, row, column)
  return function(r, c)
    return c == column or c - r == column - row or c + r == column + row or attacked(r, c)
  end
end

local function count_with_closures(attacked, row)
  if row > n then return 1 end
  local found = 0
  for column = 1, n do
    if not attacked(row, column) then
      found = found + count_with_closures(place(attacked, row, column), row + 1)
    end
  end
  return found
end

-- Style 2: an iterator of free columns drives the search.
local function free_columns(board, row)
  local column = 0
  return function()
    while column < n do
      column = column + 1
      local free = true
      for r = 1, row - 1 do
        local c = board[r]
        if c == column or c - r == column - row or c + r == column + row then
          free = false
          break
        end
      end
      if free then return column end
    end
  end
end

local first
local function count_with_iterators(board, row)
  if row > n then
    first = first or table.concat(board, " ", 1, n)
    return 1
  end
  local found = 0
  for column in free_columns(board, row) do
    board[row] = column
    found = found + count_with_iterators(board, row + 1)
  end
  return found
end

-- Style 3: breadth first; every partial board is a fresh list.
local function count_with_lists()
  local boards = { {} }
  for row = 1, n do
    local longer = {}
    for _, board in ipairs(boards) do
      for column in free_columns(board, row) do
        local copy = table.move(board, 1, #board, 1, {})
        copy[row] = column
        longer[#longer + 1] = copy
      end
    end
    boards = longer
  end
  return #boards
end

print(string.format("%d queens, closures:  %d", n, count_with_closures(empty_board, 1)))
print(string.format("%d queens, iterators: %d", n, count_with_iterators({}, 1)))
print(string.format("%d queens, lists:     %d", n, count_with_lists()))
print("first solution: " .. tostring(first))
