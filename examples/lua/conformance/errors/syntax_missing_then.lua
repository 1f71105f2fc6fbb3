-- Syntax error: no then.
local x = 5
if x > 3
  print(x)
end
