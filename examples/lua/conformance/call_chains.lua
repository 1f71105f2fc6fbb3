-- Chains of __call: each object is an argument of the next handler.
local function chain(length, last)
  for i = 1, length do last = setmetatable({ i }, { __call = last }) end
  return last
end
local function count(...) return select("#", ...) end
for _, n in ipairs { 1, 2, 99, 100, 101, 255, 256, 1000 } do
  local t = chain(n, count)
  print(n, t(), t(1, 2), (t(table.unpack({}, 1, 300))))
  print(pcall(t, 1), select(2, pcall(function() return t(1) end)))
  print(select(2, coroutine.resume(coroutine.create(function() return t(1) end))))
end
-- The order of the arguments.
local result = chain(20, table.pack)("a", "b", "c")
print(result.n)
for i = 1, 20 do assert(result[i][1] == i) end
print(result[21], result[22], result[23])
-- Handlers of other operations may be chains.
local t = setmetatable({}, {
  __index = chain(3, function(...) return select("#", ...) end),
  __add = chain(150, count),
  __concat = chain(150, count),
  __unm = chain(150, count),
})
print(pcall(function() return t.x end))
print(t + 1, t .. 1, -t)
local values = {}
for v in chain(150, function(...)
  local state, control = select(select("#", ...) - 1, ...)
  if control < state then return control + 1 end
end), 3, 0 do values[#values + 1] = v end
print(table.concat(values, " "))
-- What is not callable in the end.
local bad = chain(3, 12)
print(pcall(bad))
print(pcall(function() bad() end))
print(pcall(function() local x = bad() end))
print(pcall(function() return bad() end))
print(pcall(function() for _ in bad do end end))
print(pcall(function() return ({})() end))
print(pcall(function() return -setmetatable({}, { __unm = bad }) end))
print(pcall(nil))
print(pcall(undefined))
print(pcall(setmetatable({}, { __name = "My" })))
