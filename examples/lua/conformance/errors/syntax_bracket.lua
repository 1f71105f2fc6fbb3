-- Syntax error: an opening bracket on another line is named.
print(
  1,
  (2 + 3

print("x")
