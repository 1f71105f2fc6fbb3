-- Endless recursion: stack overflow (the first line has the position and the words).
local function f() return 1 + f() end
f()
