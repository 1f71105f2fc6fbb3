-- metatable_oop: classes with inheritance, value types with operators, proxies
-- that log writes, callable objects, lazily computed fields.
-- Stresses: metamethod dispatch of every kind on freshly allocated small objects,
-- method lookup through chains of __index tables and functions.
-- Size: the number of rounds.

local n = tonumber(arg and arg[1]) or 5000

-- Classes: Class(parent) returns a table that is called to make an instance.
local function Class(name, parent)
  local class = { name = name }
  class.__index = class
  class.__tostring = function(self) return name .. "<" .. self:describe() .. ">" end
  return setmetatable(class, {
    __index = parent,
    __call = function(cls, ...)
      local instance = setmetatable({}, cls)
      instance:init(...)
      return instance
    end,
  })
end

local Shape = Class("Shape")
function Shape:init(label) self.label = label end
function Shape:area() return 0 end
function Shape:describe() return self.label .. " " .. self:area() end

local Rect = Class("Rect", Shape)
function Rect:init(label, w, h)
  Shape.init(self, label)
  self.w, self.h = w, h
end
function Rect:area() return self.w * self.h end

local Square = Class("Square", Rect)
function Square:init(label, side) Rect.init(self, label, side, side) end
function Square:describe() return "square " .. Rect.describe(self) end

-- A value type with every arithmetic and comparison operator: exact fractions.
local Fraction = {}
Fraction.__index = Fraction

local function gcd(a, b)
  while b ~= 0 do a, b = b, a % b end
  return math.abs(a)
end

local function fraction(num, den)
  if getmetatable(num) == Fraction then return num end
  den = den or 1
  local g = gcd(num, den)
  if den < 0 then g = -g end
  return setmetatable({ num = num // g, den = den // g }, Fraction)
end

function Fraction.__add(a, b)
  a, b = fraction(a), fraction(b)
  return fraction(a.num * b.den + b.num * a.den, a.den * b.den)
end
function Fraction.__sub(a, b) return a + -fraction(b) end
function Fraction.__mul(a, b)
  a, b = fraction(a), fraction(b)
  return fraction(a.num * b.num, a.den * b.den)
end
function Fraction.__div(a, b)
  a, b = fraction(a), fraction(b)
  return fraction(a.num * b.den, a.den * b.num)
end
function Fraction.__idiv(a, b)
  local q = a / b
  return q.num // q.den
end
function Fraction.__mod(a, b) return a - b * (a // b) end
function Fraction.__pow(a, e)
  local result = fraction(1)
  for _ = 1, e do result = result * a end
  return result
end
function Fraction.__unm(a) return fraction(-a.num, a.den) end
function Fraction.__eq(a, b) return a.num == b.num and a.den == b.den end
function Fraction.__lt(a, b)
  a, b = fraction(a), fraction(b)
  return a.num * b.den < b.num * a.den
end
function Fraction.__le(a, b) return not (b < a) end
function Fraction.__tostring(a) return a.den == 1 and tostring(a.num) or a.num .. "/" .. a.den end
function Fraction.__concat(a, b) return tostring(a) .. tostring(b) end

-- A bit set with the bitwise operators and the length.
local Bits = {}
Bits.__index = Bits
local function bits(value) return setmetatable({ value = value & 0xffff }, Bits) end
Bits.__band = function(a, b) return bits(a.value & b.value) end
Bits.__bor = function(a, b) return bits(a.value | b.value) end
Bits.__bxor = function(a, b) return bits(a.value ~ b.value) end
Bits.__bnot = function(a) return bits(~a.value) end
Bits.__shl = function(a, count) return bits(a.value << count) end
Bits.__shr = function(a, count) return bits(a.value >> count) end
Bits.__len = function(a)
  local count, v = 0, a.value
  while v ~= 0 do count, v = count + 1, v & (v - 1) end
  return count
end

-- A proxy: reads and writes go through functions, and writes are counted.
local function proxy(target)
  local writes = 0
  return setmetatable({}, {
    __index = function(_, k)
      if k == "writes" then return writes end
      return target[k]
    end,
    __newindex = function(_, k, v)
      writes = writes + 1
      target[k] = v
    end,
    __len = function() return #target end,
  })
end

-- Fields computed on first use and then cached by rawset.
local lazy_meta = {
  __index = function(self, k)
    local v = type(k) == "number" and k * k or "?" .. k
    rawset(self, k, v)
    return v
  end,
}

-- Each section runs n rounds and prints a checksum.

do
  local total, text = 0, 0
  for i = 1, n do
    local shapes = { Shape("s" .. i), Rect("r" .. i, i % 7, i % 11), Square("q" .. i, i % 13) }
    for _, shape in ipairs(shapes) do
      total = total + shape:area()
      text = text + #tostring(shape)
    end
  end
  print(string.format("classes: area %d, text %d, last %s", total, text, tostring(Square("end", 3))))
end

do
  local sum, smaller, equal = fraction(0), 0, 0
  for i = 1, n do
    local f = fraction(i % 12 + 1, i % 8 + 1)
    sum = sum + f * 2 - f / 2
    sum = sum % 1000
    if f < 1 then smaller = smaller + 1 end
    if f == fraction(3, 2) then equal = equal + 1 end
    if f >= fraction(5) and not (f <= 4) then smaller = smaller + 2 end
    if i % 64 == 0 then sum = fraction(sum.num // sum.den) end
  end
  print("fractions: sum " .. sum .. ", smaller " .. smaller .. ", equal " .. equal)
  print("powers: " .. fraction(2, 3) ^ 5 .. " " .. 7 // fraction(2, 3) .. " " .. tostring(fraction(7, 2) % fraction(2, 3)))
end

do
  local set, population = bits(1), 0
  for i = 1, n do
    set = (set << 1 ~ bits(i)) | (set >> 15) & bits(0x5555)
    if i % 3 == 0 then set = ~set end
    population = population + #set
  end
  print(string.format("bits: population %d, value %04x", population, set.value))
end

do
  local log = proxy {}
  for i = 1, n do
    log[#log + 1] = i
    log.last = "item " .. i
  end
  print(string.format("proxy: length %d, writes %d, last %s", #log, log.writes, log.last))
end

do
  local sum = 0
  for i = 1, n do
    local lazy = setmetatable({}, lazy_meta)
    sum = (sum + lazy[i % 100] + lazy[i % 100] + #lazy.name) & 0xffffffff
  end
  print(string.format("lazy: %d", sum))
end

do
  local counter = setmetatable({ calls = 0 }, {
    __call = function(self, step, ...)
      self.calls = self.calls + step
      return self.calls, select("#", ...)
    end,
  })
  local sum = 0
  for i = 1, n do
    local calls, extra = counter(2, i, nil)
    sum = sum + calls * extra
  end
  print(string.format("call: %d calls, sum %d", counter.calls, sum))
end
