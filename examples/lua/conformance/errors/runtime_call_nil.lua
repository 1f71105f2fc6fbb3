-- A call of an undefined global function.
undefined_function(1, 2)
