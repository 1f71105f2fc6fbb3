-- The usual idiom for opening files.
local f = assert(io.open("/nonexistent/file.txt"))
print(f)
