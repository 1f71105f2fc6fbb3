#!/usr/bin/env bash
# Type-checks the heap for platforms on which it is not run (README, "What works today").
#
#   scripts/portable.sh              all of them
#   scripts/portable.sh TARGET...    some
#
# A target whose standard library cannot be had is skipped, with a word.
set -euo pipefail
cd "$(dirname "$0")/.."

targets=("$@")
((${#targets[@]})) || targets=(aarch64-unknown-linux-gnu aarch64-apple-darwin x86_64-pc-windows-msvc)
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/portable"
checked=0
for target in "${targets[@]}"; do
  if ! rustup target add "$target" >/dev/null 2>&1; then
    echo "SKIPPED: $target: rustup has no standard library for it here"
    continue
  fi
  RUSTFLAGS="-D warnings ${RUSTFLAGS:-}" cargo check --quiet --locked --target "$target" -p heap-api
  echo "$target: checked ($SECONDS s)"
  checked=$((checked + 1))
done
((checked)) || echo "SKIPPED: nothing was checked" >&2
