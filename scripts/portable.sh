#!/usr/bin/env bash
# Runs the tests on other systems, as far as emulation can, and type-checks the heap for two
# that cannot be had at all (README, "What works today"). docs/verification.md says what
# this shows and what not.
#
#   scripts/portable.sh                    smoke length: what CI runs
#   scripts/portable.sh long               everything that fits
#   scripts/portable.sh [long] SYSTEM...   some systems only:
#
#   arm64      Linux, arm64: qemu's user mode
#   arm64-64k  the same, with system pages of 64 KiB beneath those that programs see
#   windows    Windows, x86-64: Wine
#   x86        Linux, 32-bit x86: as it is, on an x86-64 kernel
#   s390x      Linux, big-endian: qemu's user mode
#   check      macOS on arm64, and Windows with Microsoft's linker: type-checked
#
# Seconds at smoke length on two cores, building included: check 8, arm64 140, arm64-64k after it 5,
# windows 75, x86 100, s390x 130. CI runs all but s390x.
#
# Compilers and emulators are installed from Debian's packages if the script may. A system
# for which something is missing is skipped, with a word. Each thing that does not fit is printed
# with its reason where it is left out.
set -euo pipefail
cd "$(dirname "$0")/.."

length=smoke
[[ ${1:-} != long ]] || { length=long; shift; }
systems=("$@")
((${#systems[@]})) || systems=(check arm64 arm64-64k windows x86 s390x)

export CARGO_TARGET_DIR="$(realpath -m "${CARGO_TARGET_DIR:-target}")/portable"
# Emulation is ten to twenty times slower. A debugger has nothing to do here.
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=line-tables-only CARGO_PROFILE_TEST_DEBUG=line-tables-only
export PROPTEST_CASES="${PROPTEST_CASES:-8}" HEAP_TESTS_OPERATIONS="${HEAP_TESTS_OPERATIONS:-30000}"

long() { [[ $length == long ]]; }

# has COMMAND PACKAGES...: the command, from Debian's packages if it must and can be.
has() {
  command -v "$1" >/dev/null && return
  if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    [[ -v updated ]] || apt-get update -qq >/dev/null 2>&1 || true
    updated=1
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${@:2}" >/dev/null 2>&1 || true
  fi
  command -v "$1" >/dev/null && return
  echo "SKIPPED: $system: there is no $1 here (Debian: ${*:2})"
  return 1
}

# has_target TARGET
has_target() {
  rustup target add "$1" >/dev/null 2>&1 && return
  echo "SKIPPED: $system: rustup has no standard library for $1 here"
  return 1
}

# build_for TARGET LINKER [RUNNER]: what `tests` builds for, and what its programs run under.
build_for() {
  local variable="CARGO_TARGET_${1^^}"
  variable="${variable//-/_}"
  export CARGO_BUILD_TARGET="$1" HEAP_TEST_RUNNER="${3:-}" "${variable}_LINKER=$2"
  [[ -z ${3:-} ]] || export "${variable}_RUNNER=$3"
}

# without NAME REASON: leaves out the tests whose names contain NAME, from now on.
without() {
  echo "not run: $system: $1: $2"
  skip+=(--skip "$1")
}

# tests CARGO_ARGUMENTS... [-- NAMES...]
tests() {
  echo "--- $system: $* ($SECONDS s)"
  [[ " $* " == *" -- "* ]] || set -- "$@" --
  cargo test --quiet --locked "$@" "${skip[@]}"
}

# What `long` adds of the tests of heap-core, and of the whole heap.
core_long=(--test allocate_black --test batches --test find --test partitions --test programs
  --test stacks --test statistics --test tiny)
heap_long=(--test derive --test layouts --test oom --test random_programs --test slices
  --test stacks --test statistics --test tiny)

# The tests of the heap that every system runs.
heap() {
  tests -p heap-core --lib --test threads
  tests -p heap-tests --test handles --test shared_heap --test zeroed
  if long; then
    tests -p heap-gc
    tests -p heap-core "${core_long[@]}"
    tests -p heap-tests "${heap_long[@]}"
  fi
}

# Tests under qemu, which keeps tables for each mapping of 64 MiB: some 400 KiB, for as long as it
# runs.
under_qemu() {
  without a_process_with_little_address_space "the limit would be the emulator's"
  without a_result_that_the_system_has_no_memory_for "the limit would be the emulator's"
  echo "not run: $system: give_back, empty_heaps, zeroed_memory: the resident size is the emulator's"
  echo "not run: $system: faults: the emulator has no memory for thousands of heaps"
}

arm64() {
  has aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross &&
    has qemu-aarch64-static qemu-user-static && has_target aarch64-unknown-linux-gnu || return 0
  build_for aarch64-unknown-linux-gnu aarch64-linux-gnu-gcc "qemu-aarch64-static -L /usr/aarch64-linux-gnu"
  under_qemu
  heap
  if long; then
    tests -p heap-api
    tests -p lua --lib --test cli --test golden --test interpreters
  fi
}

# What is given back to the system, in the units of a system with large pages.
arm64-64k() {
  has aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross &&
    has qemu-aarch64-static qemu-user-static && has_target aarch64-unknown-linux-gnu || return 0
  build_for aarch64-unknown-linux-gnu aarch64-linux-gnu-gcc "qemu-aarch64-static -p 65536 -L /usr/aarch64-linux-gnu"
  # To print a backtrace is to map files, which ends the emulator with these pages.
  export RUST_BACKTRACE=0
  tests -p heap-core --lib -- os::
  tests -p heap-tests --test zeroed
  if long; then
    tests -p heap-core --test programs
  fi
}

s390x() {
  has s390x-linux-gnu-gcc gcc-s390x-linux-gnu libc6-dev-s390x-cross &&
    has qemu-s390x-static qemu-user-static && has_target s390x-unknown-linux-gnu || return 0
  build_for s390x-unknown-linux-gnu s390x-linux-gnu-gcc "qemu-s390x-static -L /usr/s390x-linux-gnu"
  under_qemu
  heap
  tests -p lua --test golden -- with_helper_threads
  if long; then
    tests -p lua --test golden
  fi
}

x86() {
  has i686-linux-gnu-gcc gcc-i686-linux-gnu libc6-dev-i386-cross && has_target i686-unknown-linux-gnu || return 0
  local runner=
  if ! /usr/i686-linux-gnu/lib/ld-linux.so.2 --version >/dev/null 2>&1; then
    has qemu-i386-static qemu-user-static || return 0
    runner=qemu-i386-static
  fi
  build_for i686-unknown-linux-gnu i686-linux-gnu-gcc "$runner"
  # Statically linked, for want of a 32-bit system.
  export CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
  [[ -z $runner ]] || under_qemu
  heap
  tests -p lua --test golden -- with_helper_threads
  if long; then
    [[ -n $runner ]] || tests -p heap-core --test faults
    tests -p lua --test golden
  fi
}

windows() {
  PATH="$PATH:/usr/lib/wine"
  has x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64 && has wine64 wine64 &&
    has_target x86_64-pc-windows-gnu || return 0
  build_for x86_64-pc-windows-gnu x86_64-w64-mingw32-gcc wine64
  # Wine starts what tests start.
  export HEAP_TEST_RUNNER=
  export WINEPREFIX="$CARGO_TARGET_DIR/wine" WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml="
  local libraries="$CARGO_TARGET_DIR/wine-libraries"
  mkdir -p "$libraries" "$WINEPREFIX"
  x86_64-w64-mingw32-gcc -O1 -Wall -shared -o "$libraries/bcryptprimitives.dll" scripts/bcryptprimitives.c -ladvapi32
  export WINEPATH="Z:${libraries//\//\\}"
  heap
  if long; then
    tests -p heap-core --test faults
    tests -p lua --lib --test golden --test interpreters
  fi
}

check() {
  local target
  for target in aarch64-apple-darwin x86_64-pc-windows-msvc; do
    has_target "$target" || continue
    RUSTFLAGS="-D warnings ${RUSTFLAGS:-}" cargo check --quiet --locked --target "$target" -p heap-api
    echo "$target: checked ($SECONDS s)"
  done
}

for system in "${systems[@]}"; do
  if [[ ! $system =~ ^(arm64|arm64-64k|windows|x86|s390x|check)$ ]]; then
    sed -n '6,15s/^# \{0,1\}//p' "$0" >&2
    exit 2
  fi
  # In a shell of its own: what a system exports is for it alone.
  (skip=(); "$system")
done
