#!/usr/bin/env bash
# Runs the whole heap under schedules that can be replayed (docs/design/simulation.md).
#
#   scripts/simulate.sh                                      3000 schedules, and the mutants
#   scripts/simulate.sh long                                 100 times as many
#   scripts/simulate.sh NAME                                 tests whose name contains NAME
#   scripts/simulate.sh replay SCENARIO SCHEDULER SEED [MUTANT]    one schedule again
#   scripts/simulate.sh replay FILE                          those that a file lists, one a line
#
# HEAP_SIMULATION_SCHEDULES sets the number of schedules, HEAP_SIMULATION_SEED the first seed.
# Schedules that fail are listed in target/simulation/failures, and how to see one again is in the
# output. If the process ends without a word, set HEAP_SIMULATION_ANNOUNCE=1.
#
# Under --cfg heap_shuttle the crates use shuttle's threads and locks, hence a build apart from
# everything else; with assertions, and with the constants of builds that have them.
set -euo pipefail
cd "$(dirname "$0")/.."

export RUSTFLAGS="--cfg heap_shuttle ${RUSTFLAGS:-}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/simulation"
export CARGO_PROFILE_DEV_DEBUG=line-tables-only CARGO_PROFILE_TEST_DEBUG=line-tables-only
mkdir -p "$CARGO_TARGET_DIR"
export HEAP_SIMULATION_FAILURES="$(realpath "$CARGO_TARGET_DIR")/failures"

simulate() {
  rm -f "$HEAP_SIMULATION_FAILURES"
  cargo test --locked -p heap-simulation --tests -- "$@"
}

# The plan of a schedule as words: scenario, scheduler, seed, and the name of a mutant.
replay() {
  echo "--- $*"
  local plan=("${@:1:3}")
  shift 3
  HEAP_MUTANT="$*" "$CARGO_TARGET_DIR/debug/simulate" "${plan[@]}"
}

case "${1:-}" in
replay)
  shift
  unset HEAP_SIMULATION_FAILURES
  cargo build --locked -p heap-simulation
  if (($# > 1)); then
    replay "$@"
  else
    failed=0
    while read -ra words; do
      replay "${words[@]}" || failed=1
    done <"$1"
    exit $failed
  fi
  ;;
long)
  export HEAP_SIMULATION_SCHEDULES="${HEAP_SIMULATION_SCHEDULES:-300000}"
  simulate
  ;;
*) simulate "$@" ;;
esac
