-- Syntax error: an unknown escape sequence.
print("a\qb")
