-- The generic for: closures, stateless iterators, callable tables, coroutines.
local function try(f) print(select(2, pcall(f))) end

local function range(n) local i = 0; return function() i = i + 1; if i <= n then return i end end end
for i in range(3) do io.write(i, " ") end
print()

local function step(limit, i) if i < limit then return i + 1, (i + 1) * (i + 1) end end
for i, square in step, 4, 0 do io.write(i, ":", square, " ") end
print()

-- A callable table as iterator, given its state and control.
local callable = setmetatable({}, { __call = function(self, state, control)
  control = (control or 0) + 1
  if control <= #state then return control, state[control] end
end })
for i, v in callable, { "x", "y" } do io.write(i, v, " ") end
print()

-- Extra values, missing values, false as a first value does not end the loop.
local function values() local n = 0; return function() n = n + 1; if n < 3 then return n, n + 1, n + 2, n + 3 end end end
for a in values() do io.write(a, " ") end
for a, b, c, d, e in values() do io.write(tostring(a), tostring(b), tostring(c), tostring(d), tostring(e), " ") end
print()
local feed = { false, false, nil }
local at = 0
for v in function() at = at + 1; return feed[at] end do io.write(tostring(v), " ") end
print(at)

-- The control variable may be assigned without disturbing the iteration.
for i, v in ipairs { 10, 20, 30 } do local shown = i; i = i * 100; io.write(shown, ":", i, ":", v, " ") end
print()

-- Fields, strings, coroutines.
for word in ("a bc def"):gmatch("%a+") do io.write(#word, " ") end
print()
for v in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i * i) end end) do io.write(v, " ") end
print()
local function tree_iter(t)
  return coroutine.wrap(function()
    local function visit(node)
      if type(node) == "table" then for _, child in ipairs(node) do visit(child) end else coroutine.yield(node) end
    end
    visit(t)
  end)
end
for leaf in tree_iter { 1, { 2, { 3, 4 } }, {}, { { { 5 } } } } do io.write(leaf, " ") end
print()

-- A linked list.
local list
for i = 3, 1, -1 do list = { value = i, next = list } end
for node in function(l, n) if n then return n.next else return l end end, list do io.write(node.value, " ") end
print()

-- Nested loops with the same iterator, break inside, return inside.
for i in range(3) do for j in range(i) do if j == 3 then break end io.write(i, "/", j, " ") end end
print()
local function find(t, wanted) for i, v in ipairs(t) do if v == wanted then return i end end end
print(find({ "a", "b", "c" }, "b"), find({}, 1))

-- pairs(t) with changed values; next used directly; iteration over arguments.
local sum = 0
for k, v in next, { a = 1, b = 2, c = 3 } do sum = sum + v end
print(sum)
local function each(...)
  local args, i = table.pack(...), 0
  return function() i = i + 1; if i <= args.n then return i, args[i] end end
end
for i, v in each("x", nil, "z") do io.write(i, "=", tostring(v), " ") end
print()

-- The expression list is evaluated once; four values are kept.
local evaluated = 0
local function explist() evaluated = evaluated + 1; return range(2) end
for _ in explist() do end
print(evaluated)

try(function() for i in 5 do end end)
try(function() for i in nil do end end)
try(function() for i in {} do end end)
try(function() for i in range(1), 2, 3 do error("in body " .. i, 0) end end)
try(function() for i in function() error("in iterator", 0) end do end end)
