-- A loop bound that is no number.
for i = 1, {} do print(i) end
