-- error without any argument.
error()
