//! Instruction counts of the fast paths, under valgrind's callgrind, against
//! `baseline/instructions.txt`: more than a tenth above it fails.
//!
//! `cargo test --release -p heap-bench --test instructions -- --nocapture` prints
//! the counts; with `HEAP_BENCH_BASELINE=renew` it writes them to the baseline. In
//! debug builds, on other processors than x86-64 and without valgrind there is
//! nothing to compare, and the test says so.
//!
//! * a count is that of 2 N runs less that of N runs, divided by N: what a
//!   process does before and after cancels out, and what is left is exact.
//! * N is small enough for the paths that allocate to stay within one span,
//!   except in `…_steady` and `…_sampled`, which samples.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// The paths and how often they run.
const PATHS: [(&str, u64); 11] = [
    ("empty", 100),
    ("alloc_pair_16", 100),
    ("alloc_noscan_24", 100),
    ("alloc_tiny_8", 100),
    ("alloc_tiny_12", 100),
    ("alloc_pair_16_steady", 100_000),
    ("alloc_pair_16_sampled", 100_000),
    ("slot_set", 100),
    ("root_get", 100),
    ("should_yield", 100),
    ("safepoint", 100),
];

/// How far a count may grow.
const TOLERANCE: f64 = 1.10;

const HEADER: &str = "\
# Instructions per run of each path of `fast_paths`, its loop included; x86-64,
# release profile. Renewed by
# HEAP_BENCH_BASELINE=renew cargo test --release -p heap-bench --test instructions
";

fn baseline_file() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/baseline/instructions.txt"))
}

/// Instructions of a whole process that runs `path` `n` times.
fn process_instructions(path: &str, n: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env!("CARGO_BIN_EXE_fast_paths"))
        .args([path, &n.to_string()])
        .output()
        .expect("valgrind could be run a moment ago");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "fast_paths {path} {n} failed under valgrind:\n{report}");
    collected(&report).unwrap_or_else(|| panic!("no count in the report of callgrind:\n{report}"))
}

/// The number in callgrind's line `==PID== Collected : NUMBER`.
fn collected(report: &str) -> Option<u64> {
    let number = report.lines().find_map(|line| line.split_once("Collected :"))?.1;
    number.trim().parse().ok()
}

fn instructions_per_run(path: &str, n: u64) -> f64 {
    let once = process_instructions(path, n);
    let twice = process_instructions(path, 2 * n);
    twice.checked_sub(once).expect("more work takes more instructions") as f64 / n as f64
}

fn parse(baseline: &str) -> BTreeMap<&str, f64> {
    let lines = baseline.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (path, count) = line.split_once(' ').expect("`path count`");
            (path, count.trim().parse().expect("a number"))
        })
        .collect()
}

/// What is wrong with a count, if anything.
fn complaint(path: &str, count: f64, baseline: Option<f64>) -> Option<String> {
    match baseline {
        None => Some(format!("{path}: {count:.2} instructions, and no baseline")),
        Some(before) if count > before * TOLERANCE => {
            Some(format!("{path}: {count:.2} instructions, {before:.2} in the baseline"))
        }
        Some(_) => None,
    }
}

#[test]
fn fast_paths_have_not_grown() {
    if cfg!(debug_assertions) {
        eprintln!("instructions: not compared, this is a debug build");
        return;
    }
    if cfg!(not(target_arch = "x86_64")) {
        eprintln!("instructions: not compared, the baseline is for x86-64");
        return;
    }
    if !Command::new("valgrind").arg("--version").output().is_ok_and(|o| o.status.success()) {
        eprintln!("instructions: not compared, valgrind is not installed");
        return;
    }
    let counts = PATHS.map(|(path, n)| (path, instructions_per_run(path, n)));
    let mut table = HEADER.to_owned();
    for (path, count) in counts {
        writeln!(table, "{path} {count:.2}").expect("writing to a string");
    }
    eprint!("{table}");
    if std::env::var_os("HEAP_BENCH_BASELINE").is_some_and(|how| how == "renew") {
        std::fs::write(baseline_file(), table).expect("the baseline can be written");
        return;
    }
    let file = std::fs::read_to_string(baseline_file()).expect("a baseline");
    let baseline = parse(&file);
    let complaints: Vec<_> = (counts.iter())
        .filter_map(|(path, count)| complaint(path, *count, baseline.get(path).copied()))
        .collect();
    assert!(complaints.is_empty(), "fast paths have grown:\n{}", complaints.join("\n"));
}

#[test]
fn growth_beyond_a_tenth_is_noticed() {
    assert_eq!(complaint("path", 11.0, Some(10.0)), None);
    assert_eq!(complaint("path", 5.0, Some(10.0)), None);
    assert!(complaint("path", 11.01, Some(10.0)).is_some());
    assert!(complaint("path", 1.0, None).is_some());
}

#[test]
fn every_path_has_a_baseline() {
    let file = std::fs::read_to_string(baseline_file()).expect("a baseline");
    let named: Vec<&str> = parse(&file).into_keys().collect();
    let mut wanted = PATHS.map(|(path, _)| path);
    wanted.sort_unstable();
    assert_eq!(named, wanted);
}

#[test]
fn the_report_of_callgrind_is_read() {
    let report = "==7== Events    : Ir\n==7== Collected : 320558\n==7==\n";
    assert_eq!(collected(report), Some(320_558));
    assert_eq!(collected("==7== Events    : Ir\n"), None);
}
