#!/usr/bin/env bash
# Runs tests under Miri: undefined behaviour, aliasing, data races in what they do.
#
#   scripts/miri.sh          what CI runs
#   scripts/miri.sh long     more of the existing tests
#   scripts/miri.sh TEST...  arguments for `cargo miri test -p heap-tests`
#
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

export MIRIFLAGS="-Zmiri-tree-borrows -Zmiri-disable-isolation -Zmiri-permissive-provenance -Zmiri-ignore-leaks -Zmiri-provenance-gc=100000 ${MIRIFLAGS:-}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/miri"

miri() {
  echo "--- $* ($SECONDS s)"
  cargo +$toolchain miri test --quiet --locked "$@"
}

case "${1:-}" in
"") miri -p heap-tests --test miri_smoke --test derive ;;
long) miri -p heap-tests --test miri_smoke --test derive --test handles --test layouts ;;
*) miri -p heap-tests "$@" ;;
esac
