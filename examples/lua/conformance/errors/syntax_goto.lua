-- Compile-time error: goto without label.
goto nowhere
print(1)
