-- Syntax error: a function that is not closed.
local function f()
  if true then
    return 1
  -- no end here
end
print(f())
