-- A call of a missing method.
local object = { name = "x" }
object:run()
