#!/usr/bin/env bash
# Compares this interpreter with PUC-Rio's.
#
#   compare.sh [--callgrind] [--runs N] [--only "NAME..."] DIRECTORY    programs of are-we-fast-yet
#   compare.sh [--only "NAME..."] --micro                               single operations
#
# DIRECTORY is a checkout of https://github.com/smarr/are-we-fast-yet. Programs are timed by the CPU time
# (user and system) of N runs each (5), ours and theirs alternating; the table has the medians. With
# --callgrind it has numbers of instructions, in millions, of smaller runs: those repeat exactly, whatever
# else the machine does, but say nothing about cache misses. What both interpreters print must be equal.
# --micro: instructions of one iteration of the loops in micro.lua.
#
# LUA (target/release/lua) and PUC (lua5.4) name the interpreters. With PUC_CACHE=FILE the instruction
# counts of PUC are kept there and not taken again. Needs valgrind for counts.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
ours="${LUA:-$here/../../../target/release/lua} --hash-seed 1"
puc=${PUC:-lua5.4}
cache=${PUC_CACHE:-/dev/null}
mode=time runs=5 only='' directory=''
while [ $# -gt 0 ]; do
    case $1 in
    --callgrind) mode=callgrind ;;
    --micro) mode=micro ;;
    --runs) runs=$2; shift ;;
    --only) only=$2; shift ;;
    *) directory=$1 ;;
    esac
    shift
done
if [ $mode != micro ] && [ ! -d "$directory/benchmarks/Lua" ]; then
    echo "usage: compare.sh [--callgrind] [--runs N] [--only NAMES] AWFY_DIRECTORY | --micro" >&2
    exit 2
fi

# Name, iterations to time, iterations to count (0: takes too long).
programs='
bounce 1500 30
cd 100 10
deltablue 12000 300
havlak 1 0
json 100 2
list 1500 30
mandelbrot 500 100
nbody 250000 5000
permute 1000 30
queens 1000 30
richards 20 1
sieve 3000 30
storage 1000 10
towers 600 10'

# Instructions that a command executes.
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" 2>&1 >/dev/null |
        sed -n 's/.*Collected *: *//p'
}

# As `count`, for PUC, remembered.
count_puc() {
    local known
    known=$(awk -v key="$*" -F '\t' '$1 == key { print $2 }' "$cache" 2>/dev/null || true)
    if [ -z "$known" ]; then
        known=$(count "$puc" "$@")
        printf '%s\t%s\n' "$*" "$known" >>"$cache"
    fi
    echo "$known"
}

# Seconds of CPU time that a command takes.
seconds() {
    local TIMEFORMAT='%U %S'
    { time "$@" >/dev/null; } 2>&1 | awk '{ print $1 + $2 }'
}

median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

is_wanted() { [ -z "$only" ] || [[ " $only " == *" $1 "* ]]; }

# Lines "name ours theirs" to a table with the ratio, and the geometric mean of all ratios.
table() {
    awk -v format="$1" -v unit="$2" '
        BEGIN { printf "%-12s %10s %10s %7s   (%s)\n", "", "ours", "PUC", "ratio", unit }
        {
            printf "%-12s " format " " format " %7.3f\n", $1, $2, $3, $2 / $3
            sum += log($2 / $3)
            fflush()
        }
        END { if (NR) printf "%-12s %10s %10s %7.3f\n", "geomean", "", "", exp(sum / NR) }'
}

compare_micro() {
    local few=1000 many=11000
    for name in $($puc "$here/micro.lua"); do
        is_wanted "$name" || continue
        echo "$name" \
            $((($(count $ours "$here/micro.lua" "$name" $many) - $(count $ours "$here/micro.lua" "$name" $few)) / (many - few))) \
            $((($(count_puc "$here/micro.lua" "$name" $many) - $(count_puc "$here/micro.lua" "$name" $few)) / (many - few)))
    done
}

compare_programs() {
    local benchmarks=$directory/benchmarks/Lua
    while read -r name timed counted; do
        [ -n "$name" ] && is_wanted "$name" || continue
        local iterations=$timed
        [ $mode = time ] || iterations=$counted
        [ "$iterations" != 0 ] || continue
        local args=("$here/awfy.lua" "$benchmarks" "$name" "$iterations")
        if [ "$($ours "${args[@]}")" != "$($puc "${args[@]}")" ]; then
            echo "compare.sh: $name: the results differ" >&2
            exit 1
        fi
        if [ $mode = callgrind ]; then
            echo "$name $(count $ours "${args[@]}") $(count_puc "${args[@]}")" |
                awk '{ print $1, $2 / 1e6, $3 / 1e6 }'
        else
            local our_times='' puc_times=''
            for _ in $(seq "$runs"); do
                our_times+="$(seconds $ours "${args[@]}")"$'\n'
                puc_times+="$(seconds $puc "${args[@]}")"$'\n'
            done
            echo "$name $(printf %s "$our_times" | median) $(printf %s "$puc_times" | median)"
        fi
    done <<<"$programs"
}

case $mode in
micro) compare_micro | table %10d 'instructions per iteration' ;;
callgrind) compare_programs | table %10.1f 'millions of instructions' ;;
time) compare_programs | table %10.2f "seconds of CPU time, medians of $runs" ;;
esac
