-- lisp: a small Lisp (reader, evaluator with lexical scope and proper tail calls,
-- printer) that runs fib, tak, list functions and a string of closures.
-- Stresses: cons cells, environments as chained tables kept alive by closures,
-- deep recursion of the host, symbols as interned strings.
-- Size: scales the arguments of the Lisp programs.

local n = tonumber(arg and arg[1]) or 12

-- Data: numbers and booleans are Lua's; symbols are {name = ...}, interned; pairs
-- are {car, cdr}; the empty list is `null`; functions are Lua functions or lambdas.
local null = setmetatable({}, { __name = "null" })
local symbols = {}

local function symbol(name)
  local s = symbols[name]
  if not s then
    s = { name = name }
    symbols[name] = s
  end
  return s
end

local Pair = {}
local Lambda = {}

local function cons(car, cdr)
  return setmetatable({ car, cdr }, Pair)
end

local function is_pair(v) return getmetatable(v) == Pair end

-- Reader ----------------------------------------------------------------------

local function tokens(text)
  text = text:gsub(";[^\n]*", "")
  return text:gmatch("%s*([()']?[^%s()']*)")
end

local function reader(text)
  local queue, head = {}, 1
  for chunk in tokens(text) do
    local punct, word = chunk:match("^([()']?)(.*)$")
    if punct ~= "" then queue[#queue + 1] = punct end
    if word ~= "" then queue[#queue + 1] = word end
  end

  local read

  local function read_list()
    local items = {}
    while queue[head] ~= ")" do
      assert(queue[head], "unbalanced parenthesis")
      items[#items + 1] = read()
    end
    head = head + 1
    local list = null
    for i = #items, 1, -1 do list = cons(items[i], list) end
    return list
  end

  function read()
    local token = queue[head]
    head = head + 1
    if token == "(" then return read_list() end
    if token == "'" then return cons(symbol("quote"), cons(read(), null)) end
    if token == "#t" then return true end
    if token == "#f" then return false end
    return math.tointeger(tonumber(token)) or symbol(token)
  end

  return function()
    if queue[head] then return read() end
  end
end

-- Printer ---------------------------------------------------------------------

local function show(v)
  if v == null then return "()" end
  if is_pair(v) then
    local parts = {}
    while is_pair(v) do
      parts[#parts + 1] = show(v[1])
      v = v[2]
    end
    if v ~= null then parts[#parts + 1] = ". " .. show(v) end
    return "(" .. table.concat(parts, " ") .. ")"
  end
  if type(v) == "table" and v.name then return v.name end
  if getmetatable(v) == Lambda or type(v) == "function" then return "#<function>" end
  if type(v) == "boolean" then return v and "#t" or "#f" end
  return tostring(v)
end

-- Evaluator -------------------------------------------------------------------

local Env = {}
Env.__index = Env

local function new_env(outer)
  return setmetatable({ vars = {}, outer = outer }, Env)
end

function Env:find(sym)
  local env = self
  while env do
    if env.vars[sym] ~= nil then return env end
    env = env.outer
  end
  error("unbound variable " .. sym.name, 0)
end

local sym_quote, sym_if, sym_define = symbol("quote"), symbol("if"), symbol("define")
local sym_lambda, sym_let, sym_begin, sym_set = symbol("lambda"), symbol("let"), symbol("begin"), symbol("set!")
local sym_cond, sym_else = symbol("cond"), symbol("else")

local function make_lambda(params, body, env)
  return setmetatable({ params = params, body = body, env = env }, Lambda)
end

local function bind(lambda, args)
  local env = new_env(lambda.env)
  local params, i = lambda.params, 0
  while is_pair(params) do
    i = i + 1
    env.vars[params[1]] = args[i]
    params = params[2]
  end
  return env
end

local eval

-- Evaluates all but the last expression of a body; the last is the tail call.
local function eval_body(body, env)
  while body[2] ~= null do
    eval(body[1], env)
    body = body[2]
  end
  return body[1]
end

function eval(x, env)
  while true do
    if type(x) ~= "table" then return x end
    if not is_pair(x) then return env:find(x).vars[x] end
    local head = x[1]
    if head == sym_quote then
      return x[2][1]
    elseif head == sym_if then
      local rest = x[2]
      if eval(rest[1], env) ~= false then
        x = rest[2][1]
      elseif rest[2][2] ~= null then
        x = rest[2][2][1]
      else
        return null
      end
    elseif head == sym_cond then
      local clause = x[2]
      while clause ~= null and not (clause[1][1] == sym_else or eval(clause[1][1], env) ~= false) do
        clause = clause[2]
      end
      if clause == null then return null end
      x = eval_body(clause[1][2], env)
    elseif head == sym_define then
      local target, value = x[2][1], nil
      if is_pair(target) then
        value = make_lambda(target[2], x[2][2], env)
        target = target[1]
      else
        value = eval(x[2][2][1], env)
      end
      env.vars[target] = value
      return target
    elseif head == sym_set then
      env:find(x[2][1]).vars[x[2][1]] = eval(x[2][2][1], env)
      return null
    elseif head == sym_lambda then
      return make_lambda(x[2][1], x[2][2], env)
    elseif head == sym_let then
      local inner, binding = new_env(env), x[2][1]
      while binding ~= null do
        inner.vars[binding[1][1]] = eval(binding[1][2][1], env)
        binding = binding[2]
      end
      x, env = eval_body(x[2][2], inner), inner
    elseif head == sym_begin then
      x = eval_body(x[2], env)
    else
      local f = eval(head, env)
      local args, rest = {}, x[2]
      while rest ~= null do
        args[#args + 1] = eval(rest[1], env)
        rest = rest[2]
      end
      if type(f) == "function" then return f(table.unpack(args)) end
      if getmetatable(f) ~= Lambda then error("not a function: " .. show(f), 0) end
      env = bind(f, args)
      x = eval_body(f.body, env)
    end
  end
end

local global = new_env(nil)
local function primitive(name, f) global.vars[symbol(name)] = f end

primitive("+", function(a, b) return a + b end)
primitive("-", function(a, b) return a - b end)
primitive("*", function(a, b) return a * b end)
primitive("mod", function(a, b) return a % b end)
primitive("<", function(a, b) return a < b end)
primitive("=", function(a, b) return a == b end)
primitive("not", function(a) return a == false end)
primitive("cons", cons)
primitive("car", function(p) return p[1] end)
primitive("cdr", function(p) return p[2] end)
primitive("null?", function(v) return v == null end)
primitive("eq?", function(a, b) return a == b end)

local function run(text)
  local result
  for form in reader(text) do result = eval(form, global) end
  return show(result)
end

run [[
  (define (map f l) (if (null? l) '() (cons (f (car l)) (map f (cdr l)))))
  (define (filter p l)
    (cond ((null? l) '())
          ((p (car l)) (cons (car l) (filter p (cdr l))))
          (else (filter p (cdr l)))))
  (define (fold f acc l) (if (null? l) acc (fold f (f acc (car l)) (cdr l))))
  (define (range a b) (if (< a b) (cons a (range (+ a 1) b)) '()))
  (define (append a b) (if (null? a) b (cons (car a) (append (cdr a) b))))
  (define (reverse l) (fold (lambda (acc x) (cons x acc)) '() l))
  (define (compose f g) (lambda (x) (f (g x))))

  (define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))   ; doubly recursive
  (define (tak x y z)
    (if (not (< y x)) z
        (tak (tak (- x 1) y z) (tak (- y 1) z x) (tak (- z 1) x y))))
  (define (count-to n acc) (if (= n 0) acc (count-to (- n 1) (+ acc 1)))) ; tail call

  (define (make-counter)
    (let ((count 0)) (lambda () (begin (set! count (+ count 1)) count))))

  (define (quicksort l)
    (if (null? l) '()
        (let ((pivot (car l)) (rest (cdr l)))
          (append (quicksort (filter (lambda (x) (< x pivot)) rest))
                  (cons pivot (quicksort (filter (lambda (x) (not (< x pivot))) rest)))))))
]]

print("fib: " .. run("(fib " .. n .. ")"))
print("tak: " .. run(string.format("(tak %d %d %d)", n, n * 2 // 3, n // 3)))
print("loop: " .. run("(count-to " .. n * 200 .. " 0)"))
print("squares: " .. run("(map (lambda (x) (* x x)) (range 0 " .. n .. "))"))
print("sum of evens: " .. run("(fold + 0 (filter (lambda (x) (= (mod x 2) 0)) (range 0 120)))"))
print("reverse: " .. run("(reverse '(1 (2 3) a b))"))
print("compose: " .. run("((compose (lambda (x) (* x 2)) (lambda (x) (+ x 1))) 20)"))
print("sorted: " .. run("(quicksort (map (lambda (x) (mod (* x 37) 101)) (range 0 " .. n * 4 .. ")))"))
print("counter: " .. run("(define c (make-counter)) (c) (c) (c)"))
print("data: " .. run("'(1 (2) ())") .. " " .. run("(cons 1 2)") .. " " .. run("map") .. " " .. run("''x"))
print(pcall(run, "(undefined 1)"))
print(pcall(run, "(1 2)"))
