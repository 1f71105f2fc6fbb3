-- error at level 2 blames the caller.
local function check(v)
  if not v then error("bad value", 2) end
end
local function user()
  check(nil)
  return 1
end
user()
