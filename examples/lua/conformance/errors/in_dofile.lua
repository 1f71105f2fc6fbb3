-- dofile of a file that does not exist.
dofile("/nonexistent/file.lua")
