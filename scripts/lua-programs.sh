#!/usr/bin/env bash
# Runs other people's Lua programs and their tests on PUC-Rio Lua and on examples/lua, and compares.
#
#   scripts/lua-programs.sh FOLDER           FOLDER has checkouts, by the names below
#   scripts/lua-programs.sh FOLDER PATTERN   only jobs whose names match this regular expression
#   REFERENCE=lua5.4 LUA=path scripts/lua-programs.sh FOLDER
#
# A job passes if both end with the same status and print the same, but for addresses, times, the default path and the
# names of temporary files. Programs that are not in FOLDER are left out. None of them is part of this repository:
#
#   json.lua        github.com/rxi/json.lua               serpent         github.com/pkulchenko/serpent
#   luaunit         github.com/bluebird75/luaunit         Penlight        github.com/lunarmodules/Penlight
#   Fennel          github.com/bakpakin/Fennel            lume            github.com/rxi/lume
#   luafun          github.com/luafun/luafun              LuLPeg          github.com/pygy/LuLPeg
#   LibDeflate      github.com/SafeteeWoW/LibDeflate      lua-compat-5.3  github.com/lunarmodules/lua-compat-5.3
#   are-we-fast-yet github.com/smarr/are-we-fast-yet      tl              github.com/teal-language/tl
#
# These have specs for busted, which run by a stand-in for it (lua-programs/busted.lua), with the real luassert and say:
#
#   luassert        github.com/lunarmodules/luassert      say             github.com/lunarmodules/say
#   middleclass     github.com/kikito/middleclass         binser          github.com/bakpakin/binser
#   inspect.lua     github.com/kikito/inspect.lua         argparse        github.com/luarocks/argparse
#   lustache        github.com/Olivine-Labs/lustache      date            github.com/Tieske/date
#   luacov          github.com/lunarmodules/luacov        mediator_lua    github.com/Olivine-Labs/mediator_lua
#   lua_cliargs     github.com/lunarmodules/lua_cliargs
#   Moses           github.com/Yonaba/Moses               (with luacov, which counts lines by a hook)
#   luacheck        github.com/lunarmodules/luacheck      (with argparse)
#   tl, Penlight    (tl with argparse, lua-compat-5.3, and LuLPeg for its dkjson)
#   moonscript      github.com/leafo/moonscript           (with argparse, LuLPeg, github.com/leafo/loadkit)
#   etlua           github.com/leafo/etlua                (its spec is for moonscript)
#   busted          github.com/lunarmodules/busted        (itself, with Penlight, lua_cliargs, mediator_lua)
#
# The tests of LibDeflate find the programs puff and zdeflate of its folder in PATH, if they are there.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
folder="${1:-}" pattern="${2:-}" reference="${REFERENCE:-lua5.4}"
if [[ ! -d $folder ]]; then
  sed -n '2,37s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
if [[ -z ${LUA:-} ]]; then
  cargo build --release --locked --quiet -p lua --manifest-path "$root/Cargo.toml"
  LUA="${CARGO_TARGET_DIR:-$root/target}/release/lua"
fi
folder="$(cd "$folder" && pwd)" work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
jobs=0 failed=0 tests=0 order=cat

# Both are called `lua`, as in their messages.
mkdir -p "$work/bin/reference" "$work/bin/ours" "$work/lib/moonscript/parse"
ln -s "$(command -v "$reference")" "$work/bin/reference/lua"
ln -s "$(realpath "$LUA")" "$work/bin/ours/lua"

# What programs need of each other.
link() { [[ ! -e $folder/$1 ]] || ln -s "$folder/$1" "$work/lib/$2"; }
link luassert/src luassert
link say/src/say say
link argparse/src/argparse.lua argparse.lua
link luacov/src/luacov luacov
link luacov/src/luacov.lua luacov.lua
link lua-compat-5.3/compat53 compat53
link LuLPeg/lulpeg.lua lpeg.lua
link LuLPeg/tests/dkjson.lua dkjson.lua
link luaunit/luaunit.lua luaunit.lua
link Penlight/lua/pl pl
link lua_cliargs/src/cliargs cliargs
link lua_cliargs/src/cliargs.lua cliargs.lua
link mediator_lua/src/mediator.lua mediator.lua
link loadkit/loadkit.lua loadkit.lua
# In the place of a parser that is written in C.
echo 'return require("moonscript.parse.slow")' >"$work/lib/moonscript/parse/native.lua"
stand_ins="$root/scripts/lua-programs"
lib="$work/lib/?.lua;$work/lib/?/init.lua;$stand_ins/?.lua"

# What may differ between two runs of one interpreter.
normalised() {
  LC_ALL=C sed -E "s|$work/(reference\|ours)|WORK|g; s/0x[0-9a-f]+/ADDRESS/g; s|/tmp/lua_[0-9A-Za-z]+|TEMPORARY|g
    s/[0-9]+\.[0-9]+ ?(s|ms|seconds|secs)\b/TIME/g; s/Started on .*/Started/; s/load\)\(\"\\\\27Lua.*serialized'\)/CHUNK/g
    s/[0-9.]+ second/TIME/; s/\b[0-9]+us\b/TIME/g; s/^((---|\+\+\+) [^ ]*\t)20.*/\1TIME/; /no file '\/usr\//d
    s/^Lua 5\.4.*(PUC-Rio|heap\))/VERSION/" "$1"
}

# job NAME DIRECTORY COMMAND: a command that runs `lua`, in a copy of the directory.
job() {
  local name="$1" directory="$2" command="$3" status count
  [[ -d $folder/${directory%%/*} && $name =~ $pattern ]] || return 0
  jobs=$((jobs + 1))
  for run in reference ours; do
    rm -rf "${work:?}/$run"
    cp -r "$folder/${directory%%/*}" "$work/$run"
    local inside="$work/$run"
    [[ $directory != */* ]] || inside="$work/$run/${directory#*/}"
    status=0
    (cd "$inside" && PATH="$work/bin/$run:$PATH" timeout 900 bash -o pipefail -c "$command") >"$work/$run.out" 2>&1 \
      </dev/null || status=$?
    { normalised "$work/$run.out" | $order; echo "status $status"; } >"$work/$run.txt"
  done
  count="$(sed -n 's/^\([0-9]*\) ok, [0-9]* pending, [0-9]* failed$/\1/p' "$work/ours.txt" | tail -n 1)"
  tests=$((tests + ${count:-0}))
  if cmp -s "$work/reference.txt" "$work/ours.txt"; then
    echo "same     $name (${count:+$count tests, }$(tail -n 1 "$work/ours.txt"))"
  else
    failed=$((failed + 1))
    echo "differs  $name"
    diff "$work/reference.txt" "$work/ours.txt" | LC_ALL=C sed -n '1,6s/^/           /p' || true
  fi
}

# specs NAME DIRECTORY PATH SPEC...: a job that runs specs. The order of some is that of `pairs`, so lines are sorted.
specs() {
  local name="$1" directory="$2" path="$3"
  shift 3
  [[ -d $folder/luassert && -d $folder/say ]] || return 0
  order="env LC_ALL=C sort" LUA_PATH="$path;$lib" job "$name: specs" "$directory" "lua '$stand_ins/busted.lua' $*"
}

job "json.lua: tests" json.lua/test "lua test.lua"
# One line is in the order of `pairs`.
LUA_PATH="./src/?.lua;$lib" job "serpent: tests" serpent "lua t/test.lua | grep -av '^full:'"
LUA_PATH="./?.lua;$lib" job "luaunit: unit tests" luaunit "lua run_unit_tests.lua"
if [[ -d $folder/Penlight/tests ]]; then
  for test in "$folder"/Penlight/tests/test-*.lua; do
    LUA_PATH="./lua/?.lua;./lua/?/init.lua;./tests/lua/?.lua;./tests/?.lua;$lib" \
      job "Penlight: $(basename "$test" .lua)" Penlight "lua tests/$(basename "$test")"
  done
fi
job "Fennel: compiles itself" Fennel "make -s fennel.lua LUA=lua && cat fennel.lua"
job "Fennel: tests" Fennel "make -s test LUA=lua"
job "lume: tests" lume/test "lua test.lua"
job "luafun: tests" luafun/tests "lua runtest *.lua"
LUA_PATH="./?.lua" job "LuLPeg: LPeg's tests" LuLPeg "lua tests/lpeg.0.12.test.lua lulpeg"
deflate_tests="TestBasicStrings TestThirdPartySmall TestThirdPartyMedium TestInternals TestPresetDict TestEncode
  TestErrors TestDecompress TestExported TestWoWData TestCompressStrategy"
LUA_PATH="./?.lua;$lib" job "LibDeflate: tests" LibDeflate \
  "lua tests/Test.lua ${deflate_tests//$'\n'/ } 2>&1 | grep -a '^Ran\|^TEST\|^ *[0-9]*) '"
LUA_PATH="./?.lua;../?.lua;../?/init.lua" job "lua-compat-5.3: tests" lua-compat-5.3/tests "lua test.lua"
for run in "Bounce 10" "CD 10" "DeltaBlue 200" "Havlak 1" "Json 2" "List 10" "Mandelbrot 500" "NBody 250000" \
  "Permute 10" "Queens 10" "Richards 2" "Sieve 10" "Storage 2" "Towers 2"; do
  job "are-we-fast-yet: ${run% *}" are-we-fast-yet/benchmarks/Lua "lua harness.lua ${run/ / 1 }"
done

specs luassert luassert "./?.lua" spec
specs say say "./?.lua" spec
specs middleclass middleclass "./?.lua" spec
specs binser binser "./?.lua" spec
specs inspect.lua inspect.lua "./?.lua" spec
specs argparse argparse "./src/?.lua;./?.lua" spec
specs lustache lustache "./src/?.lua" spec
specs date date "./src/?.lua" spec
specs luacov luacov "./src/?.lua;./?.lua" spec
specs mediator_lua mediator_lua "./src/?.lua" spec
specs lua_cliargs lua_cliargs "./src/?.lua;./?.lua" spec
specs Penlight Penlight "./lua/?.lua;./lua/?/init.lua" spec
specs Moses Moses "./?.lua" spec
specs luacheck luacheck "./src/?.lua;./src/?/init.lua;./?.lua" 'spec/*_spec.lua'
LUA_PATH="./src/?.lua;./src/?/init.lua;$lib" job "luacheck: checks itself" luacheck "lua bin/luacheck.lua src spec/*.lua"
for part in lang api cli; do
  specs "tl, $part" tl "./?.lua;./?/init.lua" "spec/$part"
done
LUA_PATH="./?.lua;./?/init.lua;$lib" job "tl: compiles itself" tl \
  'mkdir out && lua tl gen --check --gen-target=5.1 --root . --output-dir out tl.tl $(find teal tlcli -name "*.tl" \
    ! -name "*.d.tl" | LC_ALL=C sort) && find out -type f | LC_ALL=C sort | xargs cat'
specs moonscript moonscript "./?.lua;./?/init.lua" spec
LUA_PATH="./?.lua;./?/init.lua;$lib" job "moonscript: compiles itself" moonscript \
  'lua bin/moonc -t out moonscript | LC_ALL=C sort && find out -type f | LC_ALL=C sort | xargs cat'
if [[ -d $folder/moonscript ]]; then
  LUA_INIT="unpack = table.unpack" \
    specs etlua etlua "./?.lua;$folder/moonscript/?.lua;$folder/moonscript/?/init.lua" spec
fi
# Some tests give the interpreter an option that it does not know; what it says to that is its own affair.
LUA_PATH="./?.lua;./?/init.lua;$lib" job "busted: specs" busted "lua bin/busted --output=TAP spec 2>/dev/null | grep '^ok\|^not ok'"

echo "$jobs jobs, $failed differ; $tests tests of specs pass"
[[ $failed == 0 ]]
