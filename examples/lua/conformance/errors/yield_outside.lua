-- yield outside of any coroutine.
coroutine.yield(1)
