#!/usr/bin/env bash
# Runs the loom models of the heap's protocols (docs/design/models.md).
#
#   scripts/loom.sh               all of them
#   scripts/loom.sh loom_gate     those whose name contains "loom_gate"
#
# The models are built apart from everything else: under --cfg heap_loom the
# crates use loom's types. They are compute-bound, hence --release, but without
# link-time optimisation, which costs more than it gains here.
set -euo pipefail
cd "$(dirname "$0")/.."

export RUSTFLAGS="--cfg heap_loom ${RUSTFLAGS:-}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom"
export CARGO_PROFILE_RELEASE_LTO=off
export CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
export CARGO_PROFILE_RELEASE_DEBUG=0

cargo test --release --locked --lib -p heap-core -p heap-gc -- "${1:-loom_}"
