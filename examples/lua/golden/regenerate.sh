#!/bin/sh
# Rebuilds every golden file with the reference interpreter, or checks that the
# files on disk are what it prints today.
#
#   golden/regenerate.sh            write all goldens
#   golden/regenerate.sh --check    write nothing; list differences; exit 1 if any
#   LUA=/path/to/lua5.4 golden/regenerate.sh
#
# What is recorded where is described in README.md beside this file.
set -eu

lua=${LUA:-lua5.4}
golden=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$golden")
mode=${1:-write}
fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT
differing=0
total=0

# Takes the new text in $fresh over into file $1, or compares the two.
settle() {
    total=$((total + 1))
    if [ "$mode" = "--check" ]; then
        if ! cmp -s "$fresh" "$1"; then
            echo "differs: ${1#"$root"/}"
            differing=$((differing + 1))
        fi
    else
        cat "$fresh" >"$1"
    fi
}

fail() {
    echo "$1" >&2
    exit 2
}

# Scripts: standard output for every size in the manifests.
cd "$root/scripts"
for manifest in "$golden/manifest.txt" "$golden/manifest-large.txt"; do
    while read -r script size file _; do
        case $script in '' | '#'*) continue ;; esac
        "$lua" "$script.lua" "$size" >"$fresh" </dev/null || fail "$script $size failed"
        settle "$golden/$file"
    done <"$manifest"
done

# Conformance programs: standard output, exit status 0.
cd "$root/conformance"
for program in *.lua; do
    [ -e "$program" ] || continue
    "$lua" "$program" >"$fresh" </dev/null || fail "conformance/$program failed"
    settle "$root/conformance/${program%.lua}.out"
done

# Programs that must die: exit status 1 and the first line of standard error, in
# which the interpreter's own name is always written `lua`.
cd "$root/conformance/errors"
for program in *.lua; do
    [ -e "$program" ] || continue
    status=0
    "$lua" "$program" >/dev/null 2>"$fresh" </dev/null || status=$?
    [ "$status" -eq 1 ] || fail "conformance/errors/$program: status $status, not 1"
    first=$(head -n 1 "$fresh")
    printf '%s\n' "lua: ${first#*: }" >"$fresh"
    settle "$root/conformance/errors/${program%.lua}.err"
done

echo "$total goldens, $differing differing"
[ "$differing" -eq 0 ]
