-- A stand-in for the library `system`, which is written in C: what busted needs of it.
return { gettime = os.time, monotime = os.clock, sleep = function(seconds) os.execute("sleep " .. seconds) end }
