-- pairs of nil.
for k in pairs(nil) do print(k) end
