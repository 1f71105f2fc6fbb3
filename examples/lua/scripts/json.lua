-- json: generates a document, encodes it as JSON, parses the text with string
-- patterns, and checks that the round trip reproduces the same text.
-- Stresses: short strings by the thousand, string.find with anchored patterns,
-- string.gsub with a function, table.concat of large buffers, nested tables.
-- Size: the number of records in the document.

local n = tonumber(arg and arg[1]) or 1000

-- Encoding ------------------------------------------------------------------

local null = setmetatable({}, { __tostring = function() return "null" end })

local escapes = {
  ['"'] = '\\"', ['\\'] = '\\\\', ['\b'] = '\\b', ['\f'] = '\\f',
  ['\n'] = '\\n', ['\r'] = '\\r', ['\t'] = '\\t',
}

local function escape_char(c)
  return escapes[c] or string.format("\\u%04x", c:byte())
end

local function quote(s)
  return '"' .. s:gsub('[%c"\\]', escape_char) .. '"'
end

local encode_into

local function encode_array(list, out)
  out[#out + 1] = "["
  for i, item in ipairs(list) do
    if i > 1 then out[#out + 1] = "," end
    encode_into(item, out)
  end
  out[#out + 1] = "]"
end

-- Keys are sorted so that the text does not depend on the order of the table.
local function encode_object(object, out)
  local keys = {}
  for key in pairs(object) do keys[#keys + 1] = key end
  table.sort(keys)
  out[#out + 1] = "{"
  for i, key in ipairs(keys) do
    if i > 1 then out[#out + 1] = "," end
    out[#out + 1] = quote(key)
    out[#out + 1] = ":"
    encode_into(object[key], out)
  end
  out[#out + 1] = "}"
end

function encode_into(value, out)
  local kind = type(value)
  if value == null then
    out[#out + 1] = "null"
  elseif kind == "table" then
    if value[1] ~= nil or next(value) == nil then
      encode_array(value, out)
    else
      encode_object(value, out)
    end
  elseif kind == "string" then
    out[#out + 1] = quote(value)
  elseif math.type(value) == "float" then
    out[#out + 1] = string.format("%.6f", value)
  else
    out[#out + 1] = tostring(value)
  end
end

local function encode(value)
  local out = {}
  encode_into(value, out)
  return table.concat(out)
end

-- Parsing -------------------------------------------------------------------

local unescapes = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }
local constants = { ["true"] = true, ["false"] = false, null = null }

local parse_value

local function fail(pos, what)
  error(string.format("JSON error at byte %d: %s expected", pos, what), 0)
end

local function skip_space(text, pos)
  return (text:match("^%s*()", pos))
end

local function parse_string(text, pos)
  local start = pos + 1
  while true do
    local stop, char = text:match('()(["\\])', pos + 1)
    if not stop then fail(pos, "closing quote") end
    if char == '"' then
      local raw = text:sub(start, stop - 1)
      if raw:find("\\", 1, true) then
        raw = raw:gsub("\\u(%x%x%x%x)", function(hex) return utf8.char(tonumber(hex, 16)) end)
        raw = raw:gsub("\\(.)", function(c) return unescapes[c] or c end)
      end
      return raw, stop + 1
    end
    pos = stop + 1
  end
end

local function parse_number(text, pos)
  local literal, stop = text:match("^(-?%d+%.?%d*[eE]?[+-]?%d*)()", pos)
  if not literal then fail(pos, "value") end
  return tonumber(literal), stop
end

local function parse_array(text, pos)
  local list = {}
  pos = skip_space(text, pos + 1)
  if text:sub(pos, pos) == "]" then return list, pos + 1 end
  while true do
    list[#list + 1], pos = parse_value(text, pos)
    local sep, stop = text:match("^%s*([,%]])()", pos)
    if not sep then fail(pos, "',' or ']'") end
    pos = stop
    if sep == "]" then return list, pos end
  end
end

local function parse_object(text, pos)
  local object = {}
  pos = skip_space(text, pos + 1)
  if text:sub(pos, pos) == "}" then return object, pos + 1 end
  while true do
    local key
    pos = skip_space(text, pos)
    if text:sub(pos, pos) ~= '"' then fail(pos, "key") end
    key, pos = parse_string(text, pos)
    local colon = text:match("^%s*:()", pos)
    if not colon then fail(pos, "':'") end
    object[key], pos = parse_value(text, colon)
    local sep, stop = text:match("^%s*([,}])()", pos)
    if not sep then fail(pos, "',' or '}'") end
    pos = stop
    if sep == "}" then return object, pos end
  end
end

function parse_value(text, pos)
  pos = skip_space(text, pos)
  local char = text:sub(pos, pos)
  if char == '"' then return parse_string(text, pos) end
  if char == "{" then return parse_object(text, pos) end
  if char == "[" then return parse_array(text, pos) end
  local word, stop = text:match("^(%a+)()", pos)
  if word then
    local value = constants[word]
    if value == nil then fail(pos, "constant") end
    return value, stop
  end
  return parse_number(text, pos)
end

local function parse(text)
  local value, pos = parse_value(text, 1)
  pos = skip_space(text, pos)
  if pos <= #text then fail(pos, "end of text") end
  return value
end

-- The document --------------------------------------------------------------

local seed = 7
local function random(limit)
  seed = (seed * 1103515245 + 12345) & 0x7fffffff
  return (seed >> 8) % limit
end

local words = { "alpha", "be\"ta", "gam\\ma", "del\nta", "eps\tilon", "\1zeta", "éta", "theta/" }

local function record(id)
  local tags = {}
  for i = 1, random(5) do tags[i] = words[random(#words) + 1] end
  return {
    id = id,
    name = words[random(#words) + 1] .. " " .. words[random(#words) + 1],
    price = random(100000) / 64.0,
    stock = random(1000) - 500,
    active = random(2) == 1,
    parent = random(3) == 0 and null or id // 2,
    tags = tags,
    position = { x = random(100), y = random(100), path = { { 1, 2 }, { 3, { 4 } } } },
  }
end

local function checksum(text)
  local hash = 5381
  for i = 1, #text, 7 do
    hash = (hash * 33 + text:byte(i)) & 0xffffffff
  end
  return hash
end

local document = { title = "round trip", records = {} }
for id = 1, n do document.records[id] = record(id) end

local text = encode(document)
print(string.format("encoded %d bytes, checksum %08x", #text, checksum(text)))

local again = encode(parse(text))
print("round trip equal: " .. tostring(again == text))

local stock, active, price = 0, 0, 0.0
for _, item in ipairs(parse(again).records) do
  stock = stock + item.stock
  price = price + item.price
  if item.active then active = active + 1 end
end
print(string.format("stock %d, active %d, price %.3f", stock, active, price))

for _, bad in ipairs { "[1,2", '{"a" 1}', '["open', "[nope]", "{} x", "[,]" } do
  print(bad, select(2, pcall(parse, bad)))
end
