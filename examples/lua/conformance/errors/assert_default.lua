-- assert without a message.
local function verify(x) assert(x == 1) end
verify(2)
