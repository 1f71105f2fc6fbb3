-- error at level 0 adds no position.
error("bare message", 0)
