#!/usr/bin/env bash
# Runs a coverage-guided fuzz target (fuzz/, docs/verification.md).
#
#   scripts/fuzz.sh heap_ops          for a minute (CI: twenty seconds)
#   scripts/fuzz.sh lua_source        likewise lua_chunk, lua_debug
#   scripts/fuzz.sh lua_source 36000  for ten hours
#   scripts/fuzz.sh lua_source FILE   runs one input again, such as a crash
#
# Two processes fuzz at a time; JOBS sets another number. What was learnt stays in
# fuzz/corpus/TARGET, inputs that failed in fuzz/artifacts/TARGET.
#
# Needs no cargo-fuzz: the coverage instrumentation is in the stable compiler. Where a
# toolchain can build for AddressSanitizer, it is on, and sees into the heap as with
# scripts/sanitize.sh. libFuzzer itself is C++, compiled by its crate: there must be a
# C++ compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/unstable.sh

target="${1:-}" what="${2:-60}" jobs="${JOBS:-2}"
if [[ ! -f fuzz/fuzz_targets/$target.rs ]]; then
  sed -n '4,7s/^# //p' "$0" >&2
  exit 2
fi
if ! command -v "${CXX:-c++}" >/dev/null; then
  echo "SKIPPED: libFuzzer needs a C++ compiler, and there is no ${CXX:-c++} here." >&2
  exit 0
fi

# Comparisons are not traced: it makes the verifier, which compares all day, several
# times slower, and what there is to learn from them is in fuzz/lua.dict.
coverage=(--cfg fuzzing -Cpasses=sancov-module
  -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table)
address=(-Zsanitizer=address -Cunsafe-allow-abi-mismatch=sanitizer)
if find_toolchain "${address[@]}"; then
  address+=(--cfg heap_asan)
else
  echo "fuzzing without AddressSanitizer" >&2
  address=()
fi

export RUSTFLAGS="${coverage[*]} ${address[*]} ${RUSTFLAGS:-}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/fuzz"
"${cargo[@]}" build --release --locked --manifest-path fuzz/Cargo.toml --target "$host" --bin "$target"
binary="$CARGO_TARGET_DIR/$host/release/$target"

corpus="fuzz/corpus/$target" artifacts="fuzz/artifacts/$target"
mkdir -p "$corpus" "$artifacts"
options=(-artifact_prefix="$artifacts/" -timeout=30 -rss_limit_mb=4096 -print_funcs=0)
if [[ $what != *[!0-9]* ]]; then
  options+=(-max_total_time="$what" -fork="$jobs" -print_final_stats=1)
  inputs=("$corpus")
else
  inputs=("$what")
fi
if [[ $target == lua_source ]]; then
  options+=(-dict=fuzz/lua.dict -max_len=4096 -only_ascii=0)
  [[ $what == *[!0-9]* ]] || inputs+=(examples/lua/conformance examples/lua/conformance/errors)
elif [[ $target == lua_* ]]; then
  options+=(-max_len=4096)
else
  options+=(-max_len=1024 -len_control=0)
fi

export ASAN_OPTIONS="detect_stack_use_after_return=1:${ASAN_OPTIONS:-}"
export LSAN_OPTIONS="suppressions=$PWD/scripts/lsan.supp:print_suppressions=0:${LSAN_OPTIONS:-}"
"$binary" "${options[@]}" "${inputs[@]}"
echo "fuzz: $target: done ($SECONDS s)"
