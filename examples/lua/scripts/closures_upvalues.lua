-- closures_upvalues: closures that share, replace and outlive their variables.
-- Stresses: upvalues while they are open on the stack and after they were closed,
-- long chains of closures, tables of closures, memoisation.
-- Size: the number of rounds.

local n = tonumber(arg and arg[1]) or 20000

-- Fresh variable per iteration, shared by the two closures of that iteration.
do
  local getters, setters = {}, {}
  for i = 1, 50 do
    local value = i
    getters[i] = function() return value end
    setters[i] = function(v) value = v end
  end
  for round = 1, n do
    local i = round % 50 + 1
    setters[i](getters[i]() + round % 7)
  end
  local sum = 0
  for i = 1, 50 do sum = sum + getters[i]() end
  print(string.format("shared: %d", sum))
end

-- Objects made of closures.
do
  local function account(balance)
    local history = {}
    local self = {}
    function self.deposit(amount)
      balance = balance + amount
      history[#history + 1] = amount
      return self
    end
    function self.withdraw(amount)
      if amount > balance then return nil, "insufficient funds" end
      balance = balance - amount
      history[#history + 1] = -amount
      return self
    end
    function self.report() return balance, #history end
    return self
  end
  local total, refused = 0, 0
  for i = 1, n do
    local a = account(i % 100)
    a.deposit(50).deposit(i % 10)
    if not a.withdraw(100) then refused = refused + 1 end
    local balance, entries = a.report()
    total = total + balance * entries
  end
  print(string.format("accounts: %d, refused %d", total, refused))
end

-- Lazy streams: an endless list whose tail is a closure.
do
  local function stream(head, tail) return { head = head, tail = tail } end
  local function from(i) return stream(i, function() return from(i + 1) end) end
  local function filter(s, accept)
    while not accept(s.head) do s = s.tail() end
    return stream(s.head, function() return filter(s.tail(), accept) end)
  end
  local function map(s, f)
    return stream(f(s.head), function() return map(s.tail(), f) end)
  end
  local s = map(filter(from(1), function(v) return v % 3 ~= 0 end), function(v) return v * v end)
  local sum = 0
  for _ = 1, n do
    sum = (sum + s.head) & 0xffffffff
    s = s.tail()
  end
  print(string.format("streams: %08x", sum))
end

-- Church numerals: functions all the way down.
do
  local zero = function() return function(x) return x end end
  local function succ(numeral)
    return function(f)
      return function(x) return f(numeral(f)(x)) end
    end
  end
  local function add(a, b)
    return function(f)
      return function(x) return a(f)(b(f)(x)) end
    end
  end
  local function mul(a, b)
    return function(f) return a(b(f)) end
  end
  local function to_integer(numeral) return numeral(function(x) return x + 1 end)(0) end
  local three = succ(succ(succ(zero)))
  local nine = mul(three, three)
  local total = 0
  for _ = 1, n // 100 + 1 do
    total = to_integer(add(mul(nine, nine), add(three, nine)))
  end
  print(string.format("church: %d", total))
end

-- A long chain of closures, each holding the one before.
do
  local chain = function(x) return x end
  local depth = math.min(n, 150)
  for i = 1, depth do
    local inner = chain
    chain = function(x) return inner(x + i) end
  end
  local sum = 0
  for i = 1, n // 50 + 1 do sum = sum + chain(i) end
  print(string.format("chain of %d: %d", depth, sum))
end

-- Memoisation with a table kept in an upvalue that is replaced now and then.
do
  local cache = {}
  local function memo(f)
    return function(x)
      local v = cache[x]
      if v == nil then
        v = f(x)
        cache[x] = v
      end
      return v
    end
  end
  local fib
  fib = memo(function(x)
    if x < 2 then return x end
    return fib(x - 1) + fib(x - 2)
  end)
  local sum = 0
  for i = 1, n // 10 + 1 do
    if i % 20 == 0 then cache = {} end
    sum = (sum + fib(i % 80)) & 0xffffffffffff
  end
  print(string.format("memo: %d", sum))
end

-- Counters captured by coroutines that die before the closures do.
do
  local survivors = {}
  for i = 1, n // 20 + 1 do
    local co = coroutine.wrap(function(start)
      local count = start
      coroutine.yield(function(step)
        count = count + step
        return count
      end)
      count = count * 2
    end)
    local bump = co(i)
    bump(1)
    if i % 2 == 0 then co() end
    survivors[i % 32 + 1] = bump
  end
  local sum = 0
  for _, bump in ipairs(survivors) do sum = sum + bump(0) end
  print(string.format("coroutines: %d", sum))
end
