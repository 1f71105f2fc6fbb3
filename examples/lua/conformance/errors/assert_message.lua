-- assert with a message.
local value = false
assert(value, "value must be true")
