-- The error is far down in a chain of calls through pcall-free library functions.
local function leaf(s) return (s:gsub("%d", function(d) return d + nil end)) end
local function branch(n) if n == 0 then return leaf("a1") end return (branch(n - 1)) end
branch(20)
