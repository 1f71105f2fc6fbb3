-- Compile-time error: two labels of the same name.
::a::
print(1)
::a::
