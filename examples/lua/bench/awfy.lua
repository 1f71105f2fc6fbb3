-- Runs one program of are-we-fast-yet: awfy.lua DIRECTORY PROGRAM ITERATIONS
-- Prints whether its result is the expected one; a program that knows none for this number of iterations
-- prints the result instead, and `compare.sh` compares what both interpreters print.
local directory, program, iterations = arg[1], arg[2], math.tointeger(arg[3])
package.path = directory .. "/?.lua"
print(program, require(program):inner_benchmark_loop(iterations))
