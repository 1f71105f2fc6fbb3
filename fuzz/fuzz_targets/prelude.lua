-- Run before each source of the fuzz target `lua_source`: takes away what a random
-- script should not do, and bounds what real Lua too does for hours in one call.
for _, name in ipairs { "execute", "exit", "remove", "rename", "tmpname", "getenv" } do
  os[name] = nil
end
io, package, require, dofile, loadfile = nil, nil, nil, nil, nil

local error, type, select = error, type, select
local byte, setmetatable = string.byte, setmetatable

-- Patterns with few repetitions, on short subjects: backtracking is a power of the
-- subject's length with the number of repetitions.
for _, name in ipairs { "find", "match", "gmatch", "gsub" } do
  local native = string[name]
  string[name] = function(subject, pattern, ...)
    if type(subject) == "string" and #subject > 200 then
      error("subject too long for the fuzzer")
    end
    if type(pattern) == "string" then
      local repetitions = 0
      for i = 1, #pattern do
        local c = byte(pattern, i)
        if c == 42 or c == 43 or c == 45 or c == 63 then repetitions = repetitions + 1 end
      end
      if repetitions > 3 then error("pattern too hard for the fuzzer") end
    end
    return native(subject, pattern, ...)
  end
end

-- Lists that are as long as they say.
for _, name in ipairs { "insert", "remove", "sort", "concat", "unpack" } do
  local native = table[name]
  table[name] = function(list, ...)
    if type(list) == "table" and #list > 100000 then error("list too long for the fuzzer") end
    for i = 1, select("#", ...) do
      local bound = select(i, ...)
      if name ~= "insert" and type(bound) == "number" and (bound > 1e5 or bound < -1e5) then
        error("range too long for the fuzzer")
      end
    end
    return native(list, ...)
  end
end
local move = table.move
function table.move(from, first, last, to, ...)
  if type(first) == "number" and type(last) == "number" and last - first > 100000 then
    error("range too long for the fuzzer")
  end
  return move(from, first, last, to, ...)
end
