-- A stand-in for LuaFileSystem, which is written in C: what others' programs and tests need of it, by commands of the
-- shell. A Lua program cannot change its process's working directory, so `chdir` changes what relative names mean to
-- the functions that take one: those of `io` and `os`, `loadfile`, `dofile` and `package.searchpath`, but not
-- `require`'s search of the path, which it replaces from the first `chdir` on.

-- A global too, as in the real one.
lfs = { _VERSION = "stand-in" }

-- The working directory, once it is not the process's.
local directory
local popen = io.popen

local function quoted(name) return "'" .. name:gsub("'", "'\\''") .. "'" end

local function absolute(name)
  if directory and type(name) == "string" and name:sub(1, 1) ~= "/" then return directory .. "/" .. name end
  return name
end

-- What the command prints, less the last line's end; nil if it fails.
local function run(command)
  local pipe = assert(popen(command .. " 2>/dev/null"))
  local text = pipe:read("a"):gsub("\n$", "")
  return pipe:close() and text or nil
end

-- The result of a function of LuaFileSystem whose command succeeds or fails.
local function done(command, name, what)
  if run(command) then return true end
  return nil, "cannot " .. what .. " '" .. name .. "'"
end

local function moved()
  for _, change in ipairs({ { io, "open" }, { io, "lines" }, { os, "remove" }, { _G, "loadfile" }, { _G, "dofile" } }) do
    local from, name = change[1], change[2]
    local original = from[name]
    from[name] = function(file, ...) return original(absolute(file), ...) end
  end
  local rename, execute, searchpath = os.rename, os.execute, package.searchpath
  function os.rename(old, new) return rename(absolute(old), absolute(new)) end
  function os.execute(command)
    return execute(command and "cd " .. quoted(directory) .. " && { " .. command .. "\n}")
  end
  function io.popen(command, ...) return popen("cd " .. quoted(directory) .. " && { " .. command .. "\n}", ...) end
  function package.searchpath(name, path, ...)
    local found, why = searchpath(name, path:gsub("[^;]+", absolute), ...)
    return found, why
  end
  package.searchers[2] = function(name)
    local file, why = package.searchpath(name, package.path)
    if not file then return why end
    return assert(loadfile(file)), file
  end
end

function lfs.currentdir() return directory or run("pwd") end

function lfs.chdir(name)
  local new = run("cd " .. quoted(absolute(name)) .. " && pwd")
  if not new then return nil, "Unable to change working directory to '" .. name .. "'" end
  if not directory then moved() end
  directory = new
  return true
end

local function attributes(name, what, command)
  local text = run(command .. quoted(absolute(name)))
  if not text then
    return nil, "cannot obtain information from file '" .. name .. "': No such file or directory", 2
  end
  local mode, size, modification, access = text:match("([^|]*)|(%d+)|(%d+)|(%d+)")
  mode = mode:find("link") and "link" or mode:find("directory") and "directory" or mode:find("regular") and "file"
    or "other"
  local all = { mode = mode, size = tonumber(size), modification = tonumber(modification), access = tonumber(access) }
  if type(what) == "string" then return all[what] end
  return all
end

function lfs.attributes(name, what) return attributes(name, what, "stat -L -c '%F|%s|%Y|%X' ") end
function lfs.symlinkattributes(name, what) return attributes(name, what, "stat -c '%F|%s|%Y|%X' ") end

function lfs.mkdir(name) return done("mkdir " .. quoted(absolute(name)), name, "make directory") end
function lfs.rmdir(name) return done("rmdir " .. quoted(absolute(name)), name, "remove directory") end
function lfs.link(old, new, symbolic)
  return done("ln " .. (symbolic and "-s " or "") .. quoted(old) .. " " .. quoted(absolute(new)), new, "link")
end
function lfs.touch(name, access, modification)
  access = access or os.time()
  local command = "touch -c -a -d @%d %s && touch -c -m -d @%d %s"
  local file = quoted(absolute(name))
  return done(command:format(access, file, modification or access, file), name, "touch")
end

function lfs.dir(name)
  local names = run("ls -a " .. quoted(absolute(name)))
  if not names then error("cannot open " .. name .. ": No such file or directory", 2) end
  return names:gmatch("[^\n]+")
end

return lfs
