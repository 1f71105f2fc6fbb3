//! Programs that tests start, this one among them.
//!
//! Where the tests run under an emulator, [`RUNNER`] names it with its options, and what they
//! start runs under it too (`scripts/portable.sh`).

use std::ffi::OsStr;
use std::process::Command;

/// The environment variable with the program that runs programs of the tests' system, and its
/// options, separated by spaces.
pub const RUNNER: &str = "HEAP_TEST_RUNNER";

/// A program for the system that the tests are built for.
pub fn program(path: impl AsRef<OsStr>) -> Command {
    let runner = std::env::var(RUNNER).unwrap_or_default();
    let mut words = runner.split_whitespace();
    let Some(emulator) = words.next() else { return Command::new(path) };
    let mut command = Command::new(emulator);
    command.args(words).arg(path);
    command
}

/// The test that calls this, and no other, as a process of its own.
///
/// # Panics
///
/// If the caller is no test, or on a thread that the test has made.
#[must_use]
pub fn this_test() -> Command {
    let thread = std::thread::current();
    let name = thread.name().expect("the harness names a test's thread after the test");
    let mut command = program(std::env::current_exe().expect("this program"));
    command.args(["--exact", "--nocapture", "--test-threads=1", name]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_runs_itself_and_only_itself() {
        const CHILD: &str = "HEAP_PROCESSES_CHILD";
        if std::env::var_os(CHILD).is_some() {
            println!("in the child");
            return;
        }
        let output = this_test().env(CHILD, "1").output().expect("this program runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("running 1 test") && said.contains("in the child"), "{said}");
    }
}
