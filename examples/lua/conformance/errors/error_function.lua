-- A function as error value.
error(print)
