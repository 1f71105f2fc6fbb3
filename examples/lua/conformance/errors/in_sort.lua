-- An error inside a comparison function.
table.sort({ 3, 1, 2 }, function(a, b) return a.key < b.key end)
