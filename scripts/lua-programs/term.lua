-- A stand-in for the library `term`, which is written in C: what busted needs of it.
return { isatty = function() return false end }
