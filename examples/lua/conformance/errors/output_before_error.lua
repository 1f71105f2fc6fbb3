-- Standard output written before the error must not be lost; only stderr is compared.
print("before")
io.write("no newline")
error("after output")
