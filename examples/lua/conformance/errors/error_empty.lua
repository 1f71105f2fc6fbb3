-- An empty message still gets a position.
error("")
