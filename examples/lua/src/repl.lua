-- Reads chunks from the standard input and runs them, as real Lua's interactive mode does.
local read, write, complain = io.stdin.read, io.write, io.stderr.write
local input, output, errors = io.stdin, io.stdout, io.stderr
local load, xpcall, tostring, type, getmetatable = load, xpcall, tostring, type, getmetatable
local pack, unpack, traceback = table.pack, table.unpack, debug.traceback
local find, gsub, sub = string.find, string.gsub, string.sub

-- Reads a line that the user can edit; nil at the end, false if the user gives the chunk up. Only on a
-- terminal.
local edit = _EDIT_LINE
_EDIT_LINE = nil

local function line(name, default)
  local prompt = _G[name]
  prompt = prompt == nil and default or tostring(prompt)
  if edit then
    output:flush()
    return edit(prompt)
  end
  output:write(prompt)
  output:flush()
  return (read(input, "l"))
end

-- The chunk that begins with a line, or nil and a message; nil alone at the end.
local chunk
function chunk()
  local text
  repeat text = line("_PROMPT", "> ") until text ~= false
  if not text then return nil end
  if sub(text, 1, 1) == "=" then text = "return " .. sub(text, 2) end
  local expression = load("return " .. text, "=stdin", "t")
  if expression then return expression end
  while true do
    local loaded, message = load(text, "=stdin", "t")
    if loaded or not find(message, "<eof>$") then return loaded, message end
    local more = line("_PROMPT2", ">> ")
    if more == false then return chunk() end
    if not more then return nil, message end
    text = text .. "\n" .. more
  end
end

local function describe(message)
  if type(message) ~= "string" and type(message) ~= "number" then
    local metatable = getmetatable(message)
    if type(metatable) == "table" and metatable.__tostring then return tostring(message) end
    message = "(error object is a " .. type(message) .. " value)"
  end
  -- What is below the chunk is this program.
  local text = traceback(message, 2)
  return (gsub(text, "\n\t%[C%]: in function 'xpcall'.*", "\n\t[C]: in ?"))
end

local function report(message)
  output:flush()
  complain(errors, tostring(message), "\n")
end

while true do
  local run, message = chunk()
  if run then
    local results = pack(xpcall(run, describe))
    if not results[1] then
      report(results[2])
    elseif results.n > 1 then
      local ok, reason = xpcall(print, tostring, unpack(results, 2, results.n))
      if not ok then report("error calling 'print' (" .. tostring(reason) .. ")") end
    end
  elseif message then
    report(message)
  else
    break
  end
end
output:write("\n")
