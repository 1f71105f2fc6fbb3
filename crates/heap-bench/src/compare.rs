//! `heap-bench compare`: the same work on everything that is installed, side by
//! side.
//!
//! * CM1: all configurations of a case alternate inside each round, and the order
//!   turns from round to round, so that a slow minute of the machine hits all.
//! * a number is the median over the rounds; a table says how many there were.
//! * C3: a program whose sum differs from this heap's is a failure, not a result.

mod build;
mod case;
mod line;
mod peer;
mod report;
mod run;
pub(crate) mod scale;

use std::process::ExitCode;

use clap::ValueEnum;

use crate::args::{CompareArgs, PeerName, WorkloadName};
use case::Case;
use peer::Peer;
use report::Row;

/// Builds the peers, runs the rounds, prints the tables.
pub(crate) fn run(args: &CompareArgs) -> ExitCode {
    let wanted =
        if args.peers.is_empty() { PeerName::value_variants() } else { args.peers.as_slice() };
    let (peers, missing) = find(wanted);
    print!("{}", report::header("compare", &peers, &missing, args));
    let mut sums_agree = true;
    for case in cases(args) {
        let mut rows: Vec<Row> = peers.iter().map(Row::new).collect();
        for round in 0..args.runs {
            for turn in 0..rows.len() {
                let row_index = (round + turn) % rows.len();
                let row = &mut rows[row_index];
                if row.is_open() {
                    eprint!("\r\x1b[K{case} round {} {}", round + 1, row.label());
                    row.record(run::once(row.peer(), &case, args));
                }
            }
        }
        eprint!("\r\x1b[K");
        sums_agree &= report::agree_on_sum(&mut rows);
        println!("{}", report::table(&case, &rows));
    }
    if sums_agree { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The peers that are there, built; and why the others are not.
fn find(wanted: &[PeerName]) -> (Vec<Peer>, Vec<(PeerName, String)>) {
    let (mut peers, mut missing) = (Vec::new(), Vec::new());
    for &name in wanted {
        match build::find(name) {
            Ok(peer) => peers.push(peer),
            Err(why) => {
                eprintln!("missing: {}: {why}", peer::label(name));
                missing.push((name, why));
            }
        }
    }
    (peers, missing)
}

/// The workloads that were asked for, with their sizes.
fn workloads(args: &CompareArgs) -> Vec<(WorkloadName, usize)> {
    let all = || WorkloadName::value_variants().iter().map(|w| (*w, w.usual_size())).collect();
    if args.workloads.is_empty() { all() } else { args.workloads.clone() }
}

/// The cases: every workload, at every number of processors that it can use.
fn cases(args: &CompareArgs) -> Vec<Case> {
    workloads(args)
        .into_iter()
        .flat_map(|(workload, size)| Case::at_all(workload, size, &args.procs))
        .collect()
}
