-- A table without __tostring as error value.
error({ code = 1 })
