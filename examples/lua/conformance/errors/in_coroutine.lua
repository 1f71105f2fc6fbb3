-- An error that leaves a coroutine made by wrap.
local generate = coroutine.wrap(function()
  coroutine.yield(1)
  local t
  t.x = 1
end)
print(generate())
print(generate())
