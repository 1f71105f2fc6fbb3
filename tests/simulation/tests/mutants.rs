//! Each fault of the list is caught, and the schedule that shows it shows it again.
#![cfg(heap_shuttle)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use heap_simulation::mutants::{CAUGHT, LIVING, Mutant};
use heap_simulation::{ANNOUNCE, ANNOUNCEMENT, FAILURES, Kind};

/// How a run with a fault failed.
#[derive(Debug)]
struct Failure {
    seed: u64,
    /// What the first panic said; of a process that was killed, nothing.
    message: String,
}

/// Runs schedules from a seed on, in a process of their own, with a fault switched on.
fn fails(mutant: &Mutant, kind: &str, seed: u64, count: u64) -> Option<Failure> {
    let output = Command::new(env!("CARGO_BIN_EXE_simulate"))
        .args([mutant.scenario, kind, &seed.to_string(), &count.to_string()])
        .env("HEAP_MUTANT", mutant.name)
        .env(ANNOUNCE, "1")
        .env_remove(FAILURES)
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("this program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| line.starts_with(ANNOUNCEMENT));
    let last = last.unwrap_or_else(|| panic!("no schedule began:\n{said}"));
    let seed = last.rsplit(' ').next().and_then(|word| word.parse().ok()).expect("a seed");
    let mut after_panic = said.lines().skip_while(|line| !line.contains("panicked at")).skip(1);
    // Addresses change from process to process.
    let message = after_panic.next().unwrap_or_default().split("0x").next().unwrap_or_default();
    (!output.status.success()).then(|| Failure { seed, message: message.into() })
}

/// Runs the mutants of which the number is this one, modulo three: in three threads.
fn all_are_caught(turn: usize) {
    let mut alive = Vec::new();
    for mutant in CAUGHT.iter().skip(turn).step_by(3) {
        for (kind, count) in mutant.caught {
            let Some(failure) = fails(mutant, kind.name(), 0, *count) else {
                alive.push(format!("{}, {} {}", mutant.name, mutant.scenario, kind.name()));
                continue;
            };
            let Failure { seed, message } = failure;
            println!("{}, {} {} {seed}: {message}", mutant.name, mutant.scenario, kind.name());
            let again = fails(mutant, kind.name(), seed, 1).expect("a schedule fails again");
            assert_eq!(
                again.message, message,
                "{}: another failure in the same schedule",
                mutant.name
            );
        }
    }
    assert!(alive.is_empty(), "live: {alive:#?}");
}

#[test]
fn the_first_third_is_caught() {
    all_are_caught(0);
}

#[test]
fn the_second_third_is_caught() {
    all_are_caught(1);
}

#[test]
fn the_last_third_is_caught() {
    all_are_caught(2);
}

#[test]
fn the_lists_name_the_faults_of_the_sources() {
    fn collect(dir: &Path, out: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, out);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(path).unwrap();
                let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                out.extend(code.filter_map(|line| {
                    let (name, _) = line.split_once("mutant!(\"")?.1.split_once('"')?;
                    Some(name.to_owned())
                }));
            }
        }
    }
    let mut sources = BTreeSet::new();
    for name in ["heap-core", "heap-gc", "heap-api"] {
        collect(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates").join(name),
            &mut sources,
        );
    }
    let caught = CAUGHT.iter().map(|mutant| mutant.name);
    let listed: BTreeSet<String> =
        caught.chain(LIVING.iter().map(|(name, _)| *name)).map(str::to_owned).collect();
    assert_eq!(sources, listed);
    assert_eq!(listed.len(), CAUGHT.len() + LIVING.len(), "a name is listed twice");
}

/// The rows of the tables in the documentation that have this many cells, without spaces.
fn rows(cells: usize) -> BTreeSet<Vec<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/design/simulation.md");
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("## Mutants").nth(1).expect("a section about them");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows = rows.map(|row| row.split(" | ").map(str::to_owned).collect::<Vec<_>>());
    rows.filter(|row| row.len() == cells && row[0] != "mutant").collect()
}

#[test]
fn the_documentation_has_the_lists() {
    let within = |mutant: &Mutant, kind| {
        let found = mutant.caught.iter().find(|(caught, _)| *caught == kind);
        found.map_or("-".into(), |(_, count)| count.to_string())
    };
    let [random, pct] = Kind::ALL;
    let caught: BTreeSet<_> = CAUGHT
        .iter()
        .map(|mutant| {
            let scenario = format!("`{}`", mutant.scenario);
            vec![mutant.name.to_owned(), scenario, within(mutant, random), within(mutant, pct)]
        })
        .collect();
    let documented = rows(6).into_iter().map(|row| [&row[..1], &row[2..5]].concat());
    assert_eq!(caught, documented.collect());
    let living = LIVING.iter().map(|(name, reason)| vec![(*name).to_owned(), (*reason).to_owned()]);
    let documented = rows(3).into_iter().map(|row| vec![row[0].clone(), row[2].clone()]);
    assert_eq!(living.collect::<BTreeSet<_>>(), documented.collect());
}
