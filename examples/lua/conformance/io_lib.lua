-- The io library on temporary files: reading formats, lines, seek, buffering modes,
-- closed files, default files, error results.
local function try(f) print(select(2, pcall(f))) end
local name = os.tmpname()
local function write_all(text) local f = assert(io.open(name, "wb")); f:write(text); f:close() end
local function read_all() local f = assert(io.open(name, "rb")); local s = f:read("a"); f:close(); return s end

-- write returns the file, numbers are converted.
local f = io.open(name, "w")
print(f:write("line 1\n", 2, " ", 3.5, "\n") == f, io.type(f), tostring(f):match("^file %(0x") ~= nil)
f:write():write("third\n", "", "last without newline")
print(f:close(), io.type(f), tostring(f), io.type(5), io.type(io.stdout))
print(#read_all(), (read_all():gsub("\n", "|")))

-- read formats.
f = io.open(name)
print(f:read()); print(f:read("n", "n")); print(f:read("L") == "\n", f:read("l"), f:read(4), f:read(0), f:read("a"), f:read("a"), f:read("l"), f:read(0), f:read("n"))
f:close()
f = io.open(name); print(f:read("l", "L", "l", "l", "l")); f:close()
f = io.open(name); print(f:read("*l"), f:read("*n"), f:read("*a"):len()); f:close()
f = io.open(name); print(f:read(100):len(), f:read(1)); f:close()

-- Numbers.
write_all("12 -7 0x1F 3.25 1e3 -0x.8p1 +5 .5 99999999999999999999 0x 12abc nan")
f = io.open(name)
print(f:read("n", "n", "n", "n")); print(f:read("n", "n", "n", "n", "n")); print(f:read("n")); print(f:read(1)); print(f:read("n")); print(f:read("a"))
f:close()
write_all("1\n2\n3\n")
f = io.open(name); print(f:read("n", "l", "n", "L", "n", "a")); f:close()

-- lines.
write_all("one\ntwo\n\nfour")
for line in io.lines(name) do io.write("[", line, "]") end print()
for line in io.lines(name, "L") do io.write((line:gsub("\n", "/")), ";") end print()
for a, b in io.lines(name, 1, 2) do io.write(a, "-", (b or "nil"):gsub("\n", "/"), " ") end print()
f = io.open(name); for line in f:lines() do io.write("<", line, ">"); if line == "two" then break end end print(f:read("a") == "\nfour", io.type(f)); f:close()
write_all("1 2 3\n4 5 6\n")
local sum = 0
for a, b, c in io.lines(name, "n", "n", "n") do sum = sum + a * b * c end
print(sum)
write_all("")
for _ in io.lines(name) do print("never") end
f = io.open(name); print(f:read(), f:read("a"), f:read("a"), f:read(0), f:read("n"), f:read("L")); f:close()

-- seek.
write_all("0123456789")
f = io.open(name, "r+")
print(f:seek(), f:seek("end"), f:seek("set", 3), f:read(2), f:seek("cur"), f:seek("cur", -1), f:read(1), f:seek("end", -2), f:read("a"), f:seek("set"))
f:write("AB"); f:seek("cur", 2); f:write("XY"); f:seek("set", 0); print(f:read("a")); print(f:seek("set", 100), f:read(1), f:read("a"))
print(f:seek("set", -1))
f:close()
print(read_all())

-- Modes.
f = io.open(name, "a"); f:write("+more"); f:close(); print(read_all())
f = io.open(name, "a+"); f:seek("set", 0); print(f:read(4)); f:write("!"); f:close(); print(read_all())
f = io.open(name, "w+"); f:write("fresh"); f:seek("set"); print(f:read("a")); f:close(); print(read_all())
f = io.open(name, "r"); print(f:write("x") == nil, select("#", f:write("x"))); f:close()
f = io.open(name, "w"); print(f:read("a")); f:close()
for _, mode in ipairs { "r", "w", "a", "r+", "w+", "a+", "rb", "wb", "r+b" } do local g = io.open(name, mode); io.write(mode, ":", tostring(g ~= nil), " "); g:close() end print()
for _, mode in ipairs { "", "x", "rw", "r+x", "br", "r b" } do try(function() io.open(name, mode) end) end

-- Binary bytes and long lines.
local all = {}
for i = 0, 255 do all[#all + 1] = string.char(i) end
write_all(table.concat(all))
print(read_all() == table.concat(all), #read_all())
write_all(("x"):rep(10000) .. "\n" .. ("y"):rep(5000))
f = io.open(name); print(#f:read(), #f:read(), f:read()); f:close()
f = io.open(name); print(#f:read(9999), f:read(3) == "x\ny", #f:read("a")); f:close()
write_all("a\0b\nc\r\nd")
f = io.open(name); print(#f:read(), #f:read(), f:read()); f:close()

-- setvbuf, flush.
f = io.open(name, "w")
print(f:setvbuf("full", 1024), f:setvbuf("no"), f:setvbuf("line"), f:flush() and true)
f:write("buffered"); f:flush(); print(read_all()); f:close()

-- Default input and output.
write_all("default\ninput\n")
local old = io.input()
io.input(name); print(io.read(), io.read("L"), io.read()); io.close(io.input()); io.input(old)
local old_out = io.output()
io.output(name); io.write("to ", "default"); io.close(); io.output(old_out)
print(read_all(), io.output() == io.stdout, io.type(io.stdin), io.type(io.stderr))
print(io.read == io.stdin.read, io.stdout:write("") == io.stdout, io.write("") == io.stdout)

-- Standard input is empty here.
print(io.read(), io.read("a"), io.read("n"), io.read(0))

-- Errors as results and as errors.
print(io.open("/nonexistent/dir/file")); print(io.open("/nonexistent/dir/file", "w")); print(io.open("/", "w"))
try(function() io.lines("/nonexistent/file") end)
try(function() io.input("/nonexistent/file") end)
f = io.open(name); f:close()
try(function() f:read() end)
try(function() f:write("x") end)
try(function() f:close() end)
try(function() f:lines() end)
try(function() f:seek() end)
try(function() io.input(f):read() end)
io.input(io.stdin)
local iter = io.lines(name)
while iter() do end
try(function() iter() end)
f = io.open(name, "w")
try(function() f:write({}) end)
try(function() f:write(nil) end)
try(function() f:write("ok", true) end)
f:close()
f = io.open(name)
try(function() f:read("x") end)
try(function() f:read("*x") end)
try(function() f:read({}) end)
try(function() f:seek("nowhere") end)
try(function() f:seek("set", "x") end)
try(function() f:seek("set", 1.5) end)
try(function() f:nothing() end)
try(function() return f.field.x end)
try(function() f.field = 1 end)
try(function() f.read() end)
try(function() f.read({}) end)
try(function() return f + 1 end)
try(function() return #f end)
try(function() f() end)
f:close()
print(getmetatable(f).__name, getmetatable(f).__index == getmetatable(io.stdout).__index, getmetatable(f) == getmetatable(io.stdout))
os.remove(name)
