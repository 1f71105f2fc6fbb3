//! A program that allocates all the time in ways that are hard to collect, under a limit: what it holds
//! is bounded, so its memory must not grow.
//!
//! `SOAK_SECONDS=600 cargo test --release -p lua --test soak -- --nocapture` is the long version; it
//! runs for some seconds otherwise.

mod support;

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use support::package;

fn seconds() -> u64 {
    std::env::var("SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(4)
}

/// Pages of the process that are in memory, in KiB; `None` where the system does not say.
fn resident_kib(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Runs the script for `seconds`; the most memory in the first and the second half of it.
fn soak(seconds: u64, options: &[&str]) -> [u64; 2] {
    let mut arguments = options.to_vec();
    let text = seconds.to_string();
    arguments.extend(["soak.lua", &text]);
    let mut child = processes::program(env!("CARGO_BIN_EXE_lua"))
        .args(&arguments)
        .current_dir(package().join("scripts"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the interpreter starts");
    let (start, half) = (Instant::now(), Duration::from_secs(seconds) / 2);
    let mut most = [0; 2];
    while child.try_wait().expect("it is ours").is_none() {
        let part = usize::from(start.elapsed() > half);
        most[part] = most[part].max(resident_kib(&child).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().expect("it has ended");
    let [printed, errors] =
        [&output.stdout, &output.stderr].map(|out| String::from_utf8_lossy(out));
    assert!(output.status.success() && errors.is_empty(), "{options:?}: {errors}");
    println!("{options:?}: resident KiB {most:?}; {}", printed.trim_end());
    most
}

#[test]
fn memory_stays_flat() {
    let modes: [&[&str]; 3] = [
        &["--max-heap", "24M"],
        &["--max-heap", "24M", "--gc-slice", "200", "--background-sweep"],
        &["--max-heap", "24M", "--mark-threads", "1"],
    ];
    for options in modes {
        let [first, second] = soak(seconds() / modes.len() as u64 + 1, options);
        // What is there to begin with, and a tenth.
        assert!(second <= first + first / 10 + 2048, "{options:?}: {first} and then {second} KiB");
        assert!(second < 64 << 10, "{options:?}: {second} KiB are more than the limit explains");
    }
}
