-- string.dump, and load of what it gives.
local function make()
  local a, b = 1, 2
  local function inner(...)
    local t <close> = setmetatable({}, { __close = function() end })
    for i, v in ipairs({ ... }) do b = b + v end
    for i = 1, 3 do a = a .. i end
    return function() return a, b end
  end
  return inner(3, 4)()
end

for _, strip in ipairs({ false, true }) do
  local chunk = string.dump(make, strip)
  local loaded = assert(load(chunk, "chunk", "b"))
  -- The functions' globals are its first upvalue.
  for i = 1, 5 do
    local name = debug.getupvalue(loaded, i)
    if not name then break end
    print(i, name)
    if i == 1 then debug.setupvalue(loaded, i, _ENV) end
  end
  print(pcall(loaded))
  local info = debug.getinfo(loaded, "SLlu")
  print(info.source == "=?", info.what, info.linedefined, info.lastlinedefined, info.nups)
  print(next(info.activelines or {}) ~= nil, debug.getlocal(loaded, 1))
end

local program = [[
local t = { 1, 2.5, "x", ["a key that is longer than forty bytes, so that it is no short string"] = true }
local s = 0
for k, v in pairs(t) do if type(v) == "number" then s = s + v end end
while s > 3 do s = s - 1 end
goto done
do s = 100 end
::done::
return s, #t, ~5, 7 // 2, 2 ^ 10, "a" .. s, not s, s == 2.5, ...
]]
print(load(string.dump(load(program)))("extra"))
print(load(string.dump(load(program), true))("extra"))

-- Modes.
local chunk = string.dump(load("return 1"))
print(load(chunk, "name", "t"))
print(load("return 1", "name", "b"))
print(load(chunk, "name", "bt")())

-- Environments.
print(load(string.dump(load("x = 1 return x")), "n", "b", {})(), x)
local none = load(string.dump(function() return 1 end), "n", "b", {})
print(none())

-- Chunks in pieces.
local i = 0
print(load(function() i = i + 1 return chunk:sub(i, i) end)())

-- No chunk: the kind of error, not its words.
local function kind(text)
  local loaded, message = load(text, "=c")
  return loaded, message:match("^c: bad binary format %(truncated chunk%)") and "truncated"
    or message:match("^c: bad binary format") or message
end
for length = 1, #chunk - 1 do
  local loaded, message = kind(chunk:sub(1, length))
  if loaded or message ~= "truncated" then print(length, message) end
end
print(kind("\27Lux"), kind("\27Lua\x53"))
print(select(2, pcall(string.dump, print)))
print(pcall(string.dump))

-- Errors in stripped functions have no position.
print(pcall(load(string.dump(load("local a = nil return a.b"), true))))
print(pcall(load(string.dump(load("local a = nil return a.b")))))
print(debug.traceback("message", 1):gsub("\n.*", ""))

-- gsub that changes nothing gives its subject.
local long = ("a"):rep(100)
print(("%p"):format(long) == ("%p"):format((long:gsub("b", "c"))))
print(("%p"):format(long) == ("%p"):format((long:gsub("a", {}))))
