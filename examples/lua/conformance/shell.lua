-- Programs that the shell runs. Those that print wait for what the script has printed.
print(os.execute())
print(os.execute("exit 0"))
print(os.execute("exit 3"))
print(os.execute("kill -9 $$"))
print(os.execute("true && false"))
io.stdout:flush()
os.execute("echo from the shell")

local function lines(command)
  local pipe = assert(io.popen(command))
  for line in pipe:lines() do print(line) end
  return pipe:close()
end
print(lines("echo one; echo two"))
print(lines("echo 'a b'; exit 7"))
print(lines("kill -15 $$"))
print(lines("no-such-program-at-all 2>/dev/null"))
local pipe = io.popen("printf '1 2.5 0x10 rest\\nline\\n'", "r")
print(io.type(pipe), pipe:read("n", "n", "n", "l", "L", "a", "l"))
print(pipe:write("x"))
print(pipe:seek())
print(pipe:close())
print(io.type(pipe), pcall(pipe.read, pipe), pcall(pipe.close, pipe))

io.stdout:flush()
pipe = io.popen("cat", "w")
print(pipe:write("written ", 1, " ", 2.5, "\n") == pipe)
io.stdout:flush()
print(pipe:read("l"))
io.stdout:flush()
print(pipe:close())
pipe = io.popen("cat > /dev/null; exit 5", "w")
pipe:write(("x"):rep(200000))
print(io.close(pipe))

print(pcall(io.popen, "true", "rw"))
print(pcall(io.popen, "true", ""))
print(pcall(io.popen))
do
  local closed
  do
    local pipe <close> = io.popen("cat", "w")
    closed = pipe
  end
  print(io.type(closed))
end
for line in io.popen("echo for; echo loop"):lines() do print(line) end
print(io.popen("cat", "r"):read("a"))
local default = io.input()
io.input(io.popen("echo default input"))
print(io.read("a"))
io.close(io.input())
io.input(default)
-- Forgotten ones.
for i = 1, 20 do io.popen("echo x") io.popen("cat", "w") end
collectgarbage()
print(lines("echo end"))
