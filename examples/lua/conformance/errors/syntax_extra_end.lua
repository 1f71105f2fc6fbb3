-- Syntax error: one end too many.
do
  print(1)
end
end
