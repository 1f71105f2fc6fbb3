-- A library function that refuses its argument.
local words = nil
table.concat(words, ", ")
