-- error with a string: position of the call is added.
local function check(v)
  if not v then error("check failed") end
end
check(false)
