# For other scripts to source: finds a toolchain that takes unstable options.
#
# A nightly toolchain if there is one, else the default toolchain, told to take
# unstable options: the flags are the same, and it brings the same run times.
#
#   find_toolchain FLAG...   sets `cargo` to the command and `host` to the target;
#                            fails, after saying why, if no toolchain makes a
#                            program with these flags that runs

cargo=(cargo)
host="$(rustc -vV | sed -n 's/^host: //p')"

find_toolchain() {
  local probe status=0
  probe="$(mktemp -d)"
  echo 'fn main() {}' >"$probe/main.rs"
  makes_a_program() {
    "$@" --target "$host" "$probe/main.rs" -o "$probe/main" >"$probe/log" 2>&1 &&
      "$probe/main" >>"$probe/log" 2>&1
  }
  if makes_a_program rustc +nightly "$@"; then
    cargo+=(+nightly)
  elif RUSTC_BOOTSTRAP=1 makes_a_program rustc "$@"; then
    export RUSTC_BOOTSTRAP=1
  else
    echo "no toolchain here makes a program with $*:" >&2
    sed 's/^/  /' "$probe/log" >&2
    status=1
  fi
  rm -rf "$probe"
  return $status
}
