//! The examples print what they printed before: `examples/NAME.out`.

use std::path::Path;
use std::process::Command;

#[track_caller]
fn prints(name: &str) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(directory).args(["run", "--quiet", "--example", name]);
    let run = cargo.output().expect("cargo runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let expected = std::fs::read_to_string(directory.join(format!("examples/{name}.out")));
    assert_eq!(String::from_utf8(run.stdout).expect("text"), expected.expect("a file"));
}

#[test]
fn linked_list() {
    prints("linked_list");
}

#[test]
fn stack_vm() {
    prints("stack_vm");
}

#[test]
fn intern() {
    prints("intern");
}

#[test]
fn threads() {
    prints("threads");
}

#[test]
fn nan_boxing() {
    prints("nan_boxing");
}

#[test]
fn collections() {
    prints("collections");
}

#[test]
fn weak_cache() {
    prints("weak_cache");
}
