#!/usr/bin/env bash
# Runs other people's Lua programs and their tests on PUC-Rio Lua and on examples/lua, and compares.
#
#   scripts/lua-programs.sh FOLDER           FOLDER has checkouts, by the names below
#   REFERENCE=lua5.4 LUA=path scripts/lua-programs.sh FOLDER
#
# A job passes if both end with the same status and print the same, but for addresses, times and the names of
# temporary files. Programs that are not in FOLDER are left out. None of them is part of this repository:
#
#   json.lua   github.com/rxi/json.lua          serpent    github.com/pkulchenko/serpent
#   luaunit    github.com/bluebird75/luaunit    Penlight   github.com/lunarmodules/Penlight
#   Fennel     github.com/bakpakin/Fennel
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
folder="${1:-}" reference="${REFERENCE:-lua5.4}"
if [[ ! -d $folder ]]; then
  sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
if [[ -z ${LUA:-} ]]; then
  cargo build --release --locked --quiet -p lua --manifest-path "$root/Cargo.toml"
  LUA="${CARGO_TARGET_DIR:-$root/target}/release/lua"
fi
folder="$(cd "$folder" && pwd)" work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
jobs=0 failed=0

# Both are called `lua`, as in their messages.
mkdir -p "$work/bin/reference" "$work/bin/ours" "$work/lib"
ln -s "$(command -v "$reference")" "$work/bin/reference/lua"
ln -s "$(realpath "$LUA")" "$work/bin/ours/lua"

# In the place of LuaFileSystem, which is written in C: what Penlight's tests need of it.
cat >"$work/lib/lfs.lua" <<'LFS'
local lfs = {}
local function run(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a"):gsub("\n$", "")
  return pipe:close() and text or nil
end
local function quoted(name) return "'" .. name:gsub("'", "'\\''") .. "'" end
function lfs.currentdir() return run("pwd") end
function lfs.attributes(name, what)
  local text = run("stat -c '%F|%s|%Y|%X' " .. quoted(name) .. " 2>/dev/null")
  if not text then return nil, "cannot obtain information from file '" .. name .. "'" end
  local mode, size, modification, access = text:match("([^|]*)|(%d+)|(%d+)|(%d+)")
  mode = mode:find("directory") and "directory" or mode:find("regular") and "file" or "other"
  local all = { mode = mode, size = tonumber(size), modification = tonumber(modification), access = tonumber(access) }
  return what and all[what] or all
end
lfs.symlinkattributes = lfs.attributes
function lfs.mkdir(name) return os.execute("mkdir " .. quoted(name)) end
function lfs.rmdir(name) return os.execute("rmdir " .. quoted(name)) end
function lfs.dir(name) return run("ls -a " .. quoted(name)):gmatch("[^\n]+") end
return lfs
LFS

# What may differ between two runs of one interpreter.
normalised() {
  LC_ALL=C sed -E "s|$work/(reference\|ours)|WORK|g; s/0x[0-9a-f]+/ADDRESS/g; s|/tmp/lua_[0-9A-Za-z]+|TEMPORARY|g
    s/[0-9]+\.[0-9]+ ?(s|ms|seconds|secs)\b/TIME/g; s/Started on .*/Started/; s/load\)\(\"\\\\27Lua.*serialized'\)/CHUNK/g
    s/[0-9.]+ second/TIME/
    s/^Lua 5\.4.*(PUC-Rio|heap\))/VERSION/" "$1"
}

# job NAME DIRECTORY COMMAND: a command that runs `lua`, in a copy of the directory.
job() {
  local name="$1" directory="$2" command="$3" status
  [[ -d $folder/${directory%%/*} ]] || return 0
  jobs=$((jobs + 1))
  for run in reference ours; do
    rm -rf "${work:?}/$run"
    cp -r "$folder/${directory%%/*}" "$work/$run"
    local inside="$work/$run"
    [[ $directory != */* ]] || inside="$work/$run/${directory#*/}"
    status=0
    (cd "$inside" && PATH="$work/bin/$run:$PATH" timeout 600 bash -c "$command") >"$work/$run.out" 2>&1 </dev/null || status=$?
    { normalised "$work/$run.out"; echo "status $status"; } >"$work/$run.txt"
  done
  if cmp -s "$work/reference.txt" "$work/ours.txt"; then
    echo "same     $name ($(tail -n 1 "$work/ours.txt"))"
  else
    failed=$((failed + 1))
    echo "differs  $name"
    diff "$work/reference.txt" "$work/ours.txt" | LC_ALL=C sed -n '1,6s/^/           /p' || true
  fi
}

job "json.lua: tests" json.lua/test "lua test.lua"
export LUA_PATH="./src/?.lua;$work/lib/?.lua"
# One line is in the order of `pairs`.
job "serpent: tests" serpent "lua t/test.lua | grep -av '^full:'"
export LUA_PATH="./?.lua;$work/lib/?.lua"
job "luaunit: unit tests" luaunit "lua run_unit_tests.lua"
export LUA_PATH="./lua/?.lua;./lua/?/init.lua;./tests/lua/?.lua;./tests/?.lua;$work/lib/?.lua"
if [[ -d $folder/Penlight/tests ]]; then
  for test in "$folder"/Penlight/tests/test-*.lua; do
    job "Penlight: $(basename "$test" .lua)" Penlight "lua tests/$(basename "$test")"
  done
fi
unset LUA_PATH
job "Fennel: compiles itself" Fennel "make -s fennel.lua LUA=lua && cat fennel.lua"
job "Fennel: tests" Fennel "make -s test LUA=lua"

echo "$jobs jobs, $failed differ"
[[ $failed == 0 ]]
