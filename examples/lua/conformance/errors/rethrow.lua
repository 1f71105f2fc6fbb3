-- An error caught and raised again keeps its first position.
local ok, e = pcall(function() error("original") end)
print(ok)
error(e, 0)
