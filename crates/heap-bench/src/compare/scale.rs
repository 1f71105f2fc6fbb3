//! `heap-bench scale`: what several processors give.
//!
//! A machine seldom gives twice as much to two threads: they share a memory, a clock
//! and often a core with each other or with strangers. So the same work is done three
//! ways in every round: by one mutator; by N mutators on one heap; and, as the measure
//! of what the machine gives, by N processes at the same time, which share nothing,
//! each with one mutator and all the work.
//!
//! * C4: a speed-up is the median of the ratios within a round, so that a slow minute
//!   of the machine counts on both sides.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::case::{Case, Scales};
use super::peer::{Peer, Program};
use super::report::{self, median, short};
use super::run::{self, End};
use crate::args::{CompareArgs, PeerName};

/// The milliseconds of one round.
#[derive(Clone, Copy, Debug)]
struct Round {
    one: f64,
    together: f64,
    /// Of the slowest process, where that measures something.
    apart: Option<f64>,
}

impl Round {
    fn speedup(&self) -> f64 {
        self.one / self.together
    }

    fn speedup_apart(&self, procs: usize) -> Option<f64> {
        Some(procs as f64 * self.one / self.apart?)
    }
}

/// Runs the rounds and prints the tables.
pub(crate) fn run(args: &CompareArgs) -> ExitCode {
    let usual = [PeerName::Heap, PeerName::Go];
    let wanted = if args.peers.is_empty() { &usual } else { args.peers.as_slice() };
    let (peers, mut missing) = super::find(wanted);
    let (peers, jvms): (Vec<Peer>, Vec<Peer>) =
        peers.into_iter().partition(|peer| matches!(peer.program, Program::Binary(_)));
    missing.extend(jvms.iter().map(|peer| (peer.name, "its runs share a log".to_owned())));
    print!("{}", report::header("scale", &peers, &missing, args));
    let mut all_ran = true;
    for (workload, size) in super::workloads(args) {
        for &procs in args.procs.iter().filter(|procs| **procs > 1) {
            let cases = Case::at_all(workload, size, &[1, procs]);
            let [one, together] = cases.as_slice() else {
                println!("## {}\n\nNothing in it is done by several processors.\n", cases[0]);
                continue;
            };
            print!("{}", head(together, procs));
            for peer in &peers {
                match rounds(peer, one, together, args) {
                    Ok(rounds) => print!("{}", row(peer, &rounds, procs)),
                    Err(why) => {
                        let label = super::peer::label(peer.name);
                        println!("| {label} | {} |||||", why.replace('|', "/"));
                        all_ran &= why == CANNOT;
                    }
                }
            }
            println!();
        }
    }
    if all_ran { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

const CANNOT: &str = "cannot do this";

fn rounds(
    peer: &Peer,
    one: &Case,
    together: &Case,
    args: &CompareArgs,
) -> Result<Vec<Round>, String> {
    let number = |end: End| match end {
        End::Line(line) => line.number(one.metric()).ok_or_else(|| "no number".to_owned()),
        End::Skipped => Err(CANNOT.to_owned()),
        End::TimedOut => Err("timed out".to_owned()),
        End::Failed(why) => Err(why),
    };
    let apart = || {
        std::thread::scope(|scope| {
            let processes: Vec<_> = (0..together.procs())
                .map(|_| scope.spawn(|| number(run::once(peer, one, args))))
                .collect();
            let times = processes.into_iter().map(|p| p.join().expect("it returns its failure"));
            times.reduce(|a, b| Ok(a?.max(b?))).expect("more than one")
        })
    };
    (0..args.runs)
        .map(|round| {
            eprint!("\r\x1b[K{together} round {} {}", round + 1, super::peer::label(peer.name));
            let round = Round {
                one: number(run::once(peer, one, args))?,
                together: number(run::once(peer, together, args))?,
                apart: (one.scales() == Scales::Mutators).then(apart).transpose()?,
            };
            eprint!("\r\x1b[K");
            Ok(round)
        })
        .collect()
}

fn head(together: &Case, procs: usize) -> String {
    let mut text = format!("## {together}\n\n");
    let metric = together.metric();
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        text,
        "| peer | {metric}, 1 | {procs} on one heap | speed-up | {procs} processes | speed-up | \
         of that |\n|---|--:|--:|--:|--:|--:|--:|"
    );
    text
}

fn row(peer: &Peer, rounds: &[Round], procs: usize) -> String {
    let of =
        |number: &dyn Fn(&Round) -> Option<f64>| median(rounds.iter().filter_map(number).collect());
    let ratio = |number: Option<f64>| number.map_or("-".to_owned(), |n| format!("{n:.2}"));
    format!(
        "| {} | {} | {} | {} | {} | {} | {} |\n",
        super::peer::label(peer.name),
        short(of(&|round| Some(round.one))),
        short(of(&|round| Some(round.together))),
        ratio(of(&|round| Some(round.speedup()))),
        short(of(&|round| round.apart)),
        ratio(of(&|round| round.speedup_apart(procs))),
        ratio(of(&|round| Some(round.speedup() / round.speedup_apart(procs)?))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn heap() -> Peer {
        Peer {
            name: PeerName::Heap,
            version: "1".to_owned(),
            program: Program::Binary(PathBuf::new()),
        }
    }

    #[test]
    fn speedups_are_medians_of_the_ratios_of_a_round() {
        let round = |one, together, apart| Round { one, together, apart: Some(apart) };
        // The machine is half as fast in the second round; the third one is odd.
        let rounds =
            [round(100.0, 60.0, 110.0), round(200.0, 120.0, 220.0), round(100.0, 100.0, 110.0)];
        let row = row(&heap(), &rounds, 2);
        assert_eq!(row, "| heap | 100 | 100 | 1.67 | 110 | 1.82 | 0.92 |\n");
    }

    #[test]
    fn marking_is_not_done_apart() {
        let rounds = [Round { one: 30.0, together: 20.0, apart: None }];
        assert_eq!(row(&heap(), &rounds, 2), "| heap | 30 | 20 | 1.50 | - | - | - |\n");
    }
}
