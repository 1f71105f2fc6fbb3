//! PUC-Rio Lua's own test suite, which is not part of this repository:
//!
//! ```sh
//! git clone --branch v5.4.4 https://github.com/lua/lua /elsewhere/lua
//! LUA_TESTS=/elsewhere/lua/testes cargo test --release -p lua --test official -- --nocapture
//! ```
//!
//! Each file runs by itself, with `_port` (nothing that depends on a system) and
//!
//! * `soft`: with `_soft`, which makes some loops shorter,
//! * `full`: without,
//! * `stress`: as `soft`, with a collection at every safepoint.
//!
//! `main.lua` tests nothing under `_port`, so it runs without as well (`shell`). Files must end without
//! an error, apart from what `official.txt` says; there every exception has its reason.
//! `LUA_TESTS_ONLY=gc,db` runs those files only.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::errors;

/// The exceptions.
const TABLE: &str = include_str!("official.txt");

/// Files that are not tests of their own: the list of all, one that fills the memory, a helper.
const NO_TESTS: [&str; 3] = ["all", "heavy", "tracegc"];

/// A file that has not ended by then counts as failed.
const TIME_LIMIT: Duration = Duration::from_secs(900);

/// What a row of the table expects.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Expectation {
    Passes,
    /// With a message that contains this.
    Fails(String),
    Skipped,
}

/// The exceptions by file and run.
fn table() -> BTreeMap<(String, String), Expectation> {
    let rows = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.map(|row| {
        let (row, reason) = row.split_once(" -- ").expect("each row has a reason");
        assert!(!reason.trim().is_empty(), "no reason: {row}");
        let mut fields = row.splitn(4, ' ');
        let mut field = || fields.next().expect("file, run and expectation").to_owned();
        let (file, run, kind) = (field(), field(), field());
        let expectation = match kind.as_str() {
            "fails" => Expectation::Fails(field()),
            "skipped" => Expectation::Skipped,
            other => panic!("{other} is no expectation"),
        };
        ((file, run), expectation)
    })
    .collect()
}

/// Runs a file and says how it has ended: nothing, or the first line of its errors.
fn run(folder: &Path, file: &str, run: &str) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lua"));
    command.arg(if run == "stress" { "--gc-stress" } else { "--verify-heap" });
    let globals = match run {
        "full" => "_port = true",
        "shell" => "_soft = true",
        _ => "_port = true; _soft = true",
    };
    command.args(["-e", globals]);
    if file == "big" {
        // As `all.lua` calls it.
        command.args([
            "-e",
            "local f = coroutine.wrap(assert(loadfile('big.lua')))
             assert(_soft or f() == 'b')
             assert(f() == 'a')",
        ]);
    } else {
        command.arg(format!("{file}.lua"));
    }
    let mut child = command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the interpreter starts");
    let begin = Instant::now();
    while child.try_wait().expect("the interpreter is a child").is_none() {
        if begin.elapsed() > TIME_LIMIT {
            child.kill().expect("the interpreter can be stopped");
            let _ = child.wait();
            return Err("out of time".to_owned());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().expect("the interpreter has ended");
    if output.status.success() {
        return Ok(());
    }
    let text = errors(&output);
    assert!(!text.contains("panicked"), "{file}, {run}: {text}");
    let message =
        text.lines().find(|line| line.starts_with("lua: ")).or_else(|| text.lines().next());
    Err(message.unwrap_or("no message").to_owned())
}

#[test]
fn the_official_suite_passes_but_for_the_exceptions() {
    let exceptions = table();
    let Some(folder) = std::env::var_os("LUA_TESTS") else {
        println!("skipped: LUA_TESTS does not say where the folder `testes` of lua/lua is");
        return;
    };
    let folder = Path::new(&folder);
    let only = std::env::var("LUA_TESTS_ONLY").ok();
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .expect("LUA_TESTS is a folder")
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let file = name.strip_suffix(".lua")?;
            (!NO_TESTS.contains(&file)).then(|| file.to_owned())
        })
        .filter(|file| only.as_ref().is_none_or(|only| only.split(',').any(|name| name == file)))
        .collect();
    files.sort();
    assert!(only.is_some() || files.len() >= 29, "{} has the suite", folder.display());
    let mut wrong = Vec::new();
    let mut passed = BTreeMap::<&str, usize>::new();
    for file in &files {
        let kinds: &[&str] = match file.as_str() {
            "main" => &["soft", "full", "stress", "shell"],
            _ => &["soft", "full", "stress"],
        };
        for &kind in kinds {
            if kind == "stress" && cfg!(debug_assertions) {
                // Minutes in a debug build.
                continue;
            }
            let key = (file.clone(), kind.to_owned());
            let expected = exceptions.get(&key).cloned().unwrap_or(Expectation::Passes);
            if expected == Expectation::Skipped {
                println!("{file:12} {kind:7} skipped");
                continue;
            }
            let begin = Instant::now();
            let result = run(folder, file, kind);
            let shown = result.as_ref().err().map_or("passed", String::as_str);
            println!("{file:12} {kind:7} {shown} ({:.1} s)", begin.elapsed().as_secs_f64());
            let is_right = match (&result, &expected) {
                (Ok(()), Expectation::Passes) => true,
                (Err(message), Expectation::Fails(part)) => message.contains(part.as_str()),
                _ => false,
            };
            if result.is_ok() {
                *passed.entry(kind).or_default() += 1;
            }
            if !is_right {
                wrong.push(format!("{file}, {kind}: {shown}, expected: {expected:?}"));
            }
        }
    }
    for (kind, passed) in passed {
        println!("{kind}: {passed} of {} files passed", files.len());
    }
    assert!(wrong.is_empty(), "not as expected:\n{}", wrong.join("\n"));
}
