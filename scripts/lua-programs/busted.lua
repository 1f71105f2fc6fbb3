-- A small stand-in for busted, the test runner, which needs libraries written in C.
--
--   lua busted.lua [--helper=FILE] FILE-OR-FOLDER...
--
-- Runs specs, of a folder all files *_spec.lua and *_spec.moon in it. They find `describe`, `it` and the like as
-- globals, and the real luassert as `assert`. Tests run in the order in which they are defined. Prints a line for each,
-- `ok`, `pending` or `FAILED`, with the error, and ends with status 1 if one has failed. As in busted, what a file
-- assigns to globals and loads with `require` goes when it ends, and so it does for a block `insulate`; other blocks of
-- a file share their globals.

local luassert = require("luassert")
local counts = { ok = 0, pending = 0, FAILED = 0 }

local Pending = {} -- The metatable of what `pending` throws inside a test.

-- The block whose body is running, the test that is running, and the globals of the file that has it.
local block, test, environment

local function text_of(problem)
  if type(problem) == "table" and not (getmetatable(problem) or {}).__tostring then
    return tostring(problem.message or "a table without a message")
  end
  return tostring(problem)
end

-- Runs `body`; returns what became of it, and the text of the problem.
local function outcome_of(body, ...)
  local fine, problem = pcall(body, ...)
  if fine then return "ok" end
  if type(problem) == "table" and getmetatable(problem) == Pending then return "pending", problem.message end
  return "FAILED", text_of(problem)
end

local function report(outcome, name, problem)
  counts[outcome] = counts[outcome] + 1
  print(outcome .. " " .. name)
  if problem then print("  " .. tostring(problem):gsub("\n", "\n  ")) end
end

-- Runs all functions of a list; a failure is reported as one of `name`. Returns whether there was none.
local function run_all(list, name)
  for _, body in ipairs(list) do
    local outcome, problem = outcome_of(body)
    if outcome == "FAILED" then
      report(outcome, name, problem)
      return false
    end
  end
  return true
end

-- Blocks, and the functions that define their parts ---------------------------------------------------------------

local kinds = { "setup", "teardown", "lazy_setup", "lazy_teardown", "before_each", "after_each" }

local function new_block(name, body)
  local new = { name = name, body = body, parent = block, children = {} }
  for _, kind in ipairs(kinds) do
    new[kind] = {}
  end
  return new
end

local function full_name(part)
  local before = part.parent and full_name(part.parent) or ""
  return before == "" and part.name or before .. " " .. part.name
end

local function define(part)
  assert(block and not test, "a block or test inside a test")
  part.parent = block
  table.insert(block.children, part)
end

local api = {
  assert = luassert,
  spy = require("luassert.spy"),
  mock = require("luassert.mock"),
  stub = require("luassert.stub"),
  match = require("luassert.match"),
  randomize = function() end,
}
for _, kind in ipairs(kinds) do
  api[kind] = function(body) table.insert(block[kind], body) end
end
api.strict_setup, api.strict_teardown = api.setup, api.teardown

function api.describe(name, body) define(new_block(name, body)) end
api.context, api.expose = api.describe, api.describe
function api.insulate(name, body)
  if body == nil then
    name, body = "insulate", name
  end
  local new = new_block(name, body)
  new.insulated = true
  define(new)
end
function api.it(name, body) define({ name = name, test = body or function() api.pending() end }) end
api.spec, api.test = api.it, api.it
function api.pending(text)
  if not test then return api.it(text) end
  error(setmetatable({ message = text }, Pending))
end
function api.finally(body) test.finally = body end

-- Running ----------------------------------------------------------------------------------------------------------

local run_block

-- Hooks of the outer blocks come first before a test, last after it.
local function before_each(of)
  if of.parent then before_each(of.parent) end
  for _, body in ipairs(of.before_each) do
    body()
  end
end

local function after_each(of)
  for _, body in ipairs(of.after_each) do
    body()
  end
  if of.parent then after_each(of.parent) end
end

local function lazy_setup(of)
  if of.parent then lazy_setup(of.parent) end
  if not of.has_tests then
    of.has_tests = true
    run_all(of.lazy_setup, full_name(of) .. " lazy_setup")
  end
end

local function run_test(of, part)
  test = part
  lazy_setup(of)
  local outcome, problem = outcome_of(before_each, of)
  if outcome == "ok" then
    outcome, problem = outcome_of(part.test)
  end
  for _, last in ipairs({ part.finally or function() end, function() after_each(of) end }) do
    local ending, why = outcome_of(last)
    if outcome == "ok" and ending ~= "ok" then
      outcome, problem = ending, why
    end
  end
  test = nil
  report(outcome, full_name(part), problem)
end

local function copy_of(from)
  local to = {}
  for key, value in next, from do
    to[key] = value
  end
  return to
end

local function restore(to, from)
  for key in next, copy_of(to) do
    if from[key] == nil then rawset(to, key, nil) end
  end
  for key, value in next, from do
    rawset(to, key, value)
  end
end

local function insulated(body, ...)
  local globals, of_file, loaded = copy_of(_G), copy_of(environment), copy_of(package.loaded)
  body(...)
  restore(_G, globals)
  restore(environment, of_file)
  restore(package.loaded, loaded)
end

local function run_parts(of)
  local outer = block
  block = of
  local outcome, problem = outcome_of(of.body)
  if outcome ~= "ok" then
    report(outcome, full_name(of), problem)
  elseif run_all(of.setup, full_name(of) .. " setup") then
    for _, part in ipairs(of.children) do
      if part.test then
        run_test(of, part)
      else
        run_block(part)
      end
    end
    if of.has_tests then run_all(of.lazy_teardown, full_name(of) .. " lazy_teardown") end
    run_all(of.teardown, full_name(of) .. " teardown")
  end
  block = outer
end

function run_block(of)
  if of.insulated then
    insulated(run_parts, of)
  else
    run_parts(of)
  end
end

for name, value in pairs(api) do
  _G[name] = value
end
package.loaded.busted = api
local files = {}
for _, argument in ipairs(arg) do
  local helper = argument:match("^%-%-helper=(.*)")
  if helper then
    dofile(helper)
  else
    local before = #files
    for name in io.popen("find '" .. argument .. "' -type f | LC_ALL=C sort"):lines() do
      if name == argument or name:find("_spec%.lua$") or name:find("_spec%.moon$") then table.insert(files, name) end
    end
    assert(#files > before, "no specs in " .. argument)
  end
end
for _, name in ipairs(files) do
  local load_spec = name:find("%.moon$") and require("moonscript").loadfile or loadfile
  environment = setmetatable({}, { __index = _G })
  local new = new_block(name, function() assert(load_spec(name, "t", environment))() end)
  new.insulated = true
  run_block(new)
end
print(("%d ok, %d pending, %d failed"):format(counts.ok, counts.pending, counts.FAILED))
os.exit(counts.FAILED == 0, true)
