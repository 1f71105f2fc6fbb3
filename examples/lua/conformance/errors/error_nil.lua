-- nil as error value.
error(nil)
