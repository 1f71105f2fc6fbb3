-- Compile-time error: break outside of a loop.
print(1)
break
