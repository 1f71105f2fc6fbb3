-- Only the first line of a message of several lines is compared.
error("first line\nsecond line")
