//! Running the interpreter's binary and comparing what it prints.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

/// The package's folder.
pub(crate) fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs `lua OPTIONS... ARGUMENTS...` in a folder of the package.
pub(crate) fn lua(folder: &str, arguments: &[&str]) -> Output {
    processes::program(env!("CARGO_BIN_EXE_lua"))
        .args(arguments)
        .current_dir(package().join(folder))
        .stdin(Stdio::null())
        .output()
        .expect("the interpreter starts")
}

/// What a process printed to the standard error.
pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asserts that a run succeeded and printed exactly `expected`.
pub(crate) fn assert_prints(what: &str, output: &Output, expected: &[u8]) {
    assert!(output.status.success(), "{what}: {:?}\n{}", output.status, errors(output));
    if output.stdout != expected {
        let ours = String::from_utf8_lossy(&output.stdout);
        let golden = String::from_utf8_lossy(expected);
        let line = ours.lines().zip(golden.lines()).position(|(a, b)| a != b);
        let at = line.unwrap_or_else(|| ours.lines().count().min(golden.lines().count()));
        panic!(
            "{what}: line {} differs\n  ours:   {:?}\n  golden: {:?}",
            at + 1,
            ours.lines().nth(at),
            golden.lines().nth(at)
        );
    }
}

/// The files of a folder with this extension, sorted.
pub(crate) fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(package().join(folder))
        .expect("the folder is there")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    files
}

/// The number that stands before ` collections` on the last line of stress mode.
pub(crate) fn collections_of_stress(output: &Output) -> u64 {
    let text = errors(output);
    let line = text.lines().last().unwrap_or_default();
    let number = line.split_whitespace().find_map(|word| word.parse().ok());
    number.unwrap_or_else(|| panic!("no number of collections in {line:?}"))
}
