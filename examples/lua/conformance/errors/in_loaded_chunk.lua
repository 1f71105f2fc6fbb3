-- An error inside a chunk made by load carries the chunk's name.
local f = load("local x = ...\nreturn x.field", "=generated")
local v = f()
print(v)
