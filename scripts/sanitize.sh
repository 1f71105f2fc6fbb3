#!/usr/bin/env bash
# Runs the tests under a sanitizer (docs/verification.md).
#
#   scripts/sanitize.sh address        smoke length: what CI runs
#   scripts/sanitize.sh thread
#   scripts/sanitize.sh address long   more tests, and FACTOR (10 unless set) times
#   scripts/sanitize.sh thread  long   as many random programs and operations
#
# Where no toolchain can build for the sanitizer the script says why and ends with
# status 0: that is no fault of the sources. The standard library comes as it is, not
# instrumented.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/unstable.sh

sanitizer="${1:-}" length="${2:-smoke}" factor="${FACTOR:-10}"
if [[ ! $sanitizer =~ ^(address|thread)$ || ! $length =~ ^(smoke|long)$ ]]; then
  sed -n '4,7s/^# //p' "$0" >&2
  exit 2
fi

flags=("-Zsanitizer=$sanitizer" -Cunsafe-allow-abi-mismatch=sanitizer)
if ! find_toolchain "${flags[@]}"; then
  echo "SKIPPED: the $sanitizer sanitizer" >&2
  exit 0
fi
echo "$sanitizer sanitizer, $length, $("${cargo[@]}" --version)"

# With --target the flags do not reach build scripts and procedural macros.
export RUSTFLAGS="${flags[*]} --cfg heap_${sanitizer:0:1}san ${RUSTFLAGS:-}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/sanitize-$sanitizer"
export CARGO_PROFILE_DEV_DEBUG=line-tables-only
export CARGO_PROFILE_TEST_DEBUG=line-tables-only

tests() {
  echo "--- $* ($SECONDS s)"
  "${cargo[@]}" test --quiet --locked --target "$host" "$@"
}

# times N: N at smoke length, else N times the factor.
times() {
  [[ $length == smoke ]] && echo "$1" || echo "$(($1 * factor))"
}

# heap-core's test `sanitizers` fails if the sanitizer sees nothing.

address() {
  export ASAN_OPTIONS="detect_stack_use_after_return=1:${ASAN_OPTIONS:-}"
  export LSAN_OPTIONS="suppressions=$PWD/scripts/lsan.supp:print_suppressions=0:${LSAN_OPTIONS:-}"
  # Failing each of thousands of calls in turn takes minutes here.
  local skip=()
  [[ $length == smoke ]] && skip=(-- --skip any_one_call --skip any_one_allocation)
  PROPTEST_CASES="$(times 16)" tests -p heap-core -p heap-gc --tests "${skip[@]}"
  PROPTEST_CASES="$(times 100)" HEAP_TESTS_OPERATIONS="$(times 50000)" tests -p heap-tests \
    --test handles --test derive --test oom --test random_programs --test shared_heap \
    --test stacks --test tiny --test weak --test weak_programs --test zeroed
  # The interpreter has no unsafe code of its own; at smoke length fuzzing runs it under
  # the sanitizer.
  [[ $length == smoke ]] ||
    tests -p lua --lib --test cli --test conformance --test interpreters --test golden
}

thread() {
  export TSAN_OPTIONS="suppressions=$PWD/scripts/tsan.supp:${TSAN_OPTIONS:-}"
  tests -p heap-core --test sanitizers --test threads
  PROPTEST_CASES="$(times 4)" tests -p heap-core -p heap-gc --lib
  PROPTEST_CASES="$(times 32)" HEAP_TESTS_OPERATIONS="$(times 20000)" tests -p heap-tests \
    --test handles --test oom --test random_programs --test shared_heap
  if [[ $length == long ]]; then
    tests -p lua --test interpreters
    # One thread of its own, and helpers for marking and sweeping.
    tests -p lua --test golden -- with_helper_threads with_a_background
  fi
}

"$sanitizer"
echo "$sanitizer sanitizer, $length: done ($SECONDS s)"
