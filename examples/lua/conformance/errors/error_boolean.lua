-- A boolean as error value.
error(true)
