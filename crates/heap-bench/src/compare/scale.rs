//! `heap-bench scale`: what several processors give.
//!
//! A machine seldom gives twice as much to two threads: they share a memory, a clock
//! and often a core with each other or with strangers. So the same work is done three
//! ways in every round: by one mutator; by N mutators on one heap; and, as the measure
//! of what the machine gives, by N processes at the same time, which share nothing,
//! each with one mutator and all the work.
//!
//! Where the processors are matters as much ([`mod@line`]): it is measured before and after
//! the run on one heap, and if it changed by more than a factor of two, the rounds in which
//! they were near each other have a row of their own, and the others as well.
//!
//! * a speed-up is the median of the ratios within a round, so that a slow minute
//!   of the machine counts on both sides; and the order of the three turns from round to
//!   round (CM1).
//! * C5: all runs of one program with the same number of mutators end in the same sum
//!   (C3), or there is no result.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::case::{Case, Scales};
use super::line;
use super::peer::{Peer, Program};
use super::report::{self, median, short};
use super::run::{self, CANNOT, End};
use crate::args::{CompareArgs, PeerName};

/// The milliseconds of one round.
#[derive(Clone, Copy, Debug)]
struct Round {
    one: f64,
    together: f64,
    /// Of the slowest process, where that measures something.
    apart: Option<f64>,
    /// Nanoseconds that a line took from one processor to the next, before or after the run
    /// on one heap: the longer.
    hop_ns: Option<f64>,
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
    if args.procs.iter().all(|procs| *procs == 1) {
        eprintln!("scale: --procs names no number of processors above one");
        return ExitCode::FAILURE;
    }
    let mut all_ran = true;
    for (workload, size) in super::workloads(args) {
        for &procs in args.procs.iter().filter(|procs| **procs > 1) {
            let cases = Case::at_all(workload, size, &[1, procs]);
            let [one, together] = cases.as_slice() else {
                println!("## {}\n\nNothing in it is done by several processors.\n", cases[0]);
                break;
            };
            print!("{}", head(together, procs));
            for peer in &peers {
                match rounds(peer, one, together, args) {
                    Ok(rounds) => print!("{}", rows(peer, &rounds, procs)),
                    Err(why) => {
                        let label = super::peer::label(peer.name);
                        println!("| {label} | {} |||||||", why.replace('|', "/"));
                        all_ran &= why == CANNOT;
                    }
                }
            }
            println!();
        }
    }
    if all_ran { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Does the rounds; C5.
fn rounds(
    peer: &Peer,
    one: &Case,
    together: &Case,
    args: &CompareArgs,
) -> Result<Vec<Round>, String> {
    let (mut sum_one, mut sum_together) = (None, None);
    let mut rounds = Vec::new();
    for number in 0..args.runs {
        eprint!("\r\x1b[K{together} round {} {}", number + 1, super::peer::label(peer.name));
        let mut round = Round { one: 0.0, together: 0.0, apart: None, hop_ns: None };
        let turns: Result<(), String> = (0..3).try_for_each(|turn| {
            match (number + turn) % 3 {
                0 => round.one = measure(peer, one, 1, &mut sum_one, args)?,
                1 => {
                    let before = line::hop_ns(together.procs());
                    round.together = measure(peer, together, 1, &mut sum_together, args)?;
                    let after = line::hop_ns(together.procs());
                    round.hop_ns = before.zip(after).map(|(before, after)| before.max(after));
                }
                _ if one.scales() == Scales::Mutators => {
                    let processes = together.procs();
                    round.apart = Some(measure(peer, one, processes, &mut sum_one, args)?);
                }
                _ => {}
            }
            Ok(())
        });
        eprint!("\r\x1b[K");
        turns?;
        rounds.push(round);
    }
    Ok(rounds)
}

/// Runs the case in so many processes at the same time; the number of the slowest.
fn measure(
    peer: &Peer,
    case: &Case,
    processes: usize,
    sum: &mut Option<String>,
    args: &CompareArgs,
) -> Result<f64, String> {
    let ends: Vec<End> = std::thread::scope(|scope| {
        let runs: Vec<_> =
            (0..processes).map(|_| scope.spawn(|| run::once(peer, case, args))).collect();
        runs.into_iter().map(|run| run.join().expect("a run returns its failure")).collect()
    });
    let mut slowest: f64 = 0.0;
    for end in ends {
        let line = end.line()?;
        let found = line.sum().unwrap_or("none");
        let expected = sum.get_or_insert_with(|| found.to_owned());
        if found != expected {
            return Err(format!("WRONG SUM {found}, not {expected}"));
        }
        let number = line.number(case.metric()).ok_or("no number")?;
        slowest = slowest.max(number);
    }
    Ok(slowest)
}

fn head(together: &Case, procs: usize) -> String {
    let mut text = format!("## {together}\n\n");
    let metric = together.metric();
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        text,
        "| peer | {metric}, 1 | {procs} on one heap | speed-up | {procs} processes | speed-up | \
         of that | hop, ns |\n|---|--:|--:|--:|--:|--:|--:|--:|"
    );
    text
}

/// The row of a program; and of its rounds with near and with far processors, if there
/// were both.
fn rows(peer: &Peer, rounds: &[Round], procs: usize) -> String {
    let label = super::peer::label(peer.name).to_string();
    let mut text = row(&label, rounds, procs);
    let nearest = rounds.iter().filter_map(|round| round.hop_ns).fold(f64::INFINITY, f64::min);
    let (near, far): (Vec<Round>, Vec<Round>) = rounds
        .iter()
        .filter(|round| round.hop_ns.is_some())
        .partition(|round| round.hop_ns < Some(FAR * nearest));
    if !far.is_empty() {
        text += &row(&format!("{label}, near, {}", near.len()), &near, procs);
        text += &row(&format!("{label}, far, {}", far.len()), &far, procs);
    }
    text
}

/// Processors are far from each other if a line takes so many times as long as it may.
const FAR: f64 = 2.0;

fn row(label: &str, rounds: &[Round], procs: usize) -> String {
    let of =
        |number: &dyn Fn(&Round) -> Option<f64>| median(rounds.iter().filter_map(number).collect());
    let ratio = |number: Option<f64>| number.map_or("-".to_owned(), |n| format!("{n:.2}"));
    format!(
        "| {label} | {} | {} | {} | {} | {} | {} | {} |\n",
        short(of(&|round| Some(round.one))),
        short(of(&|round| Some(round.together))),
        ratio(of(&|round| Some(round.speedup()))),
        short(of(&|round| round.apart)),
        ratio(of(&|round| round.speedup_apart(procs))),
        ratio(of(&|round| Some(round.speedup() / round.speedup_apart(procs)?))),
        of(&|round| round.hop_ns).map_or("-".to_owned(), |ns| format!("{ns:.0}")),
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

    /// A round with near processors.
    fn round(one: f64, together: f64, apart: f64) -> Round {
        Round { one, together, apart: Some(apart), hop_ns: Some(30.0) }
    }

    #[test]
    fn speedups_are_medians_of_the_ratios_of_a_round() {
        // The machine is half as fast in the second round; the third one is odd.
        let rounds =
            [round(100.0, 60.0, 110.0), round(200.0, 120.0, 220.0), round(100.0, 100.0, 110.0)];
        assert_eq!(
            rows(&heap(), &rounds, 2),
            "| heap | 100 | 100 | 1.67 | 110 | 1.82 | 0.92 | 30 |\n"
        );
    }

    #[test]
    fn far_processors_have_a_row_of_their_own() {
        let far = Round { hop_ns: Some(61.0), ..round(100.0, 100.0, 110.0) };
        let unknown = Round { hop_ns: None, ..far };
        let rounds = [round(100.0, 50.0, 110.0), far, unknown];
        assert_eq!(
            rows(&heap(), &rounds, 2),
            "| heap | 100 | 100 | 1.00 | 110 | 1.82 | 0.55 | 46 |\n\
             | heap, near, 1 | 100 | 50 | 2.00 | 110 | 1.82 | 1.10 | 30 |\n\
             | heap, far, 1 | 100 | 100 | 1.00 | 110 | 1.82 | 0.55 | 61 |\n"
        );
    }

    #[test]
    fn marking_is_not_done_apart() {
        let rounds = [Round { one: 30.0, together: 20.0, apart: None, hop_ns: None }];
        assert_eq!(rows(&heap(), &rounds, 2), "| heap | 30 | 20 | 1.50 | - | - | - | - |\n");
    }
}
