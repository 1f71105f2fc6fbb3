#!/usr/bin/env bash
# Runs tests under Miri: undefined behaviour, aliasing, data races in what they do.
#
#   scripts/miri.sh          what CI runs
#   scripts/miri.sh long     more of the existing tests
#   scripts/miri.sh TEST...  arguments for `cargo miri test -p heap-tests`
#
# Threads take turns often, so that races show. Tests panic on purpose, and a backtrace takes seconds.
# Tree Borrows, and integers may be cast to pointers: crossbeam-epoch, which frees blocks of span
# sets, needs both, and leaks by design. Files and clocks are the real ones. Where Miri cannot be
# had the script says so and ends with status 0.
set -euo pipefail
cd "$(dirname "$0")/.."

toolchain=nightly
if ! cargo +$toolchain miri --version >/dev/null 2>&1; then
  rustup component add miri rust-src --toolchain $toolchain >/dev/null 2>&1 || true
fi
if ! cargo +$toolchain miri setup >/dev/null 2>&1; then
  echo "SKIPPED: Miri, there is no nightly toolchain that has it" >&2
  exit 0
fi

export MIRIFLAGS="-Zmiri-tree-borrows -Zmiri-disable-isolation -Zmiri-permissive-provenance -Zmiri-ignore-leaks -Zmiri-provenance-gc=100000 -Zmiri-preemption-rate=0.1 -Zmiri-env-set=RUST_BACKTRACE=0 ${MIRIFLAGS:-}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/miri"

miri() {
  echo "--- $* ($SECONDS s)"
  cargo +$toolchain miri test --quiet --locked "$@"
}

# Tests by file: those that find most, and are short here or have few rounds under Miri
# (`heap_tests::few_under_miri`).
smoke() {
  miri -p heap-tests --test miri_smoke --test derive
  miri -p heap-tests --test handles -- roots_and_sets roots_outlive locals_are a_root_inside payload_panics inside_itself
  miri -p heap-tests --test stacks -- under_a_window above_the_height its_stack
  miri -p heap-tests --test tiny -- as_many_as_fit a_large_tiny what_holds after_a_collection
  miri -p heap-tests --test external -- a_buffer charges_are_counted
  miri -p heap-tests --test destructors -- local_value
  miri -p heap-tests --test arrays --test maps -- an_array_may a_map_may
  miri -p heap-tests --test strings_and_slices -- lie_about
}

case "${1:-}" in
"") smoke ;;
long)
  smoke
  miri -p heap-tests --test handles --test layouts
  miri -p heap-tests --test stacks -- may_own_stacks
  ;;
*) miri -p heap-tests "$@" ;;
esac
