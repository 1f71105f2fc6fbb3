-- The lines that a hook and `activelines` see: an instruction belongs to the line of the token that has been read when
-- it is made.
local function f(...) return ... end
local function some_lines(...)
  f "a literal without parentheses"
  f [[a long
literal]]
  f {
    1,
    2
  }
  f {
    f()
  }
  f({
    x = 1
  }, {
    2
  })
  local t = {
    a = {
      b = 1,
      c = function()
      end
    },
    d =
      {
      },
    [1] = {
    }
  }
  local u = {
    1,
    {
      2,
    },
    {
      ...
    },
    ...
  }
  local v = {
    1,
    a = 2,
    f(),
    b = 3
  }
  local w
    =
    {
    }
  local a,
    b,
    c
  repeat
    a = 1
  until true
  repeat
    local x = 1
    b = function() return x end
  until 1
  repeat
    c = not c
  until not c
  return
    f,
    u
end

local events = {}
debug.sethook(function(_, line) events[#events + 1] = line end, "l")
some_lines(1, 2)
debug.sethook()
print(table.concat(events, " "))

local lines = {}
for line in pairs(debug.getinfo(some_lines, "L").activelines) do lines[#lines + 1] = line end
table.sort(lines)
print(table.concat(lines, " "))

-- A loop that runs once is not a loop.
local n = 0
repeat
  local done = true
  repeat
    n = n + 1
    if n < 3 then break end
    done = false
  until "always"
  if n == 5 then goto out end
until nil
::out::
print(n)

-- Ends of blocks and loops.
local function loops(t)
  for k in pairs(t) do
    if k == 2 then
      break
    end
  end
  for k in pairs(t) do
    local g = function() return k end
    if k == 2 then
      break
    end
    if k == 3 then
      return
    end
  end
  for i = 1, 2 do
    local g = function() return i end
    if i > 5 then
      t = nil
    end
  end
  while t[1] do
    local g = function() return t end
    t[1] = nil
    if t[2] then
      t[2] = nil
    else
      t[3] = nil
    end
  end
  do
    local g = function() return g end
    if t[3] then
      t[3] = nil
    end
  end
  for k in next, t, nil do
  end
end
events = {}
debug.sethook(function(_, line) events[#events + 1] = line end, "l")
loops({ 1, 2, 3 })
loops({ [3] = 1 })
loops({})
debug.sethook()
print(table.concat(events, " "))

-- Ends of loops whose variables a closure has, and the name of a method.
local function captured(t)
  while t do
    local x
    local g = function() return x end
    break
  end
  for i = 1, 2 do
    local g = function() return i end
    break
  end
  local m = t
    .a
    :format()
  return m
end
events = {}
debug.sethook(function(_, line) events[#events + 1] = line end, "l")
captured({ a = "text" })
debug.sethook()
print(table.concat(events, " "))
