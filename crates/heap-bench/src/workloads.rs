//! The workloads, one module each. A module exports `run(args, size, cx)`, and a
//! `defaults` configuration where the workload is about a certain heap.

mod churn;
mod frag;
mod gcbench;
mod graph;
mod latency;
mod list;
mod mixed;
mod quads;
mod shrink;
mod treemark;
mod trees;

pub(crate) use quads::heap_bytes as quads_heap_bytes;

use std::time::Instant;

use heap_api::{Config, Cx, Heap};

use crate::args::{RunArgs, Workload, WorkloadName};
use crate::measure::{self, Outcome};
use crate::session;

/// What a workload's module exports.
type Run = fn(&RunArgs, usize, &mut Cx) -> Outcome;

/// Runs a workload as often as asked, each time in a fresh heap, and prints a
/// line per run.
pub(crate) fn run(workload: &Workload) {
    let (name, args) = match workload {
        Workload::Trees(args) => (WorkloadName::Trees, args),
        Workload::Churn(args) => (WorkloadName::Churn, args),
        Workload::Graph(args) => (WorkloadName::Graph, args),
        Workload::Treemark(args) => (WorkloadName::Treemark, args),
        Workload::List(args) => (WorkloadName::List, args),
        Workload::Quads(args) => (WorkloadName::Quads, args),
        Workload::Gcbench(args) => (WorkloadName::Gcbench, args),
        Workload::Latency(args) => (WorkloadName::Latency, args),
        Workload::Mixed(args) => (WorkloadName::Mixed, args),
        Workload::Frag(args) => (WorkloadName::Frag, args),
        Workload::Shrink(args) => (WorkloadName::Shrink, args),
    };
    session::beside_burners(args.burn, || {
        for _ in 0..args.repeat {
            println!("{}", run_once(name, args));
        }
    });
}

fn run_once(name: WorkloadName, args: &RunArgs) -> String {
    let size = args.size.unwrap_or_else(|| name.usual_size());
    let defaults = match name {
        WorkloadName::Quads => quads::defaults(size),
        _ => Config::new(),
    };
    let heap = Heap::new(session::config(args, defaults));
    let mut cx = heap.enter();
    let start = Instant::now();
    let outcome = by_name(name)(args, size, &mut cx);
    let elapsed = start.elapsed();
    let stats = heap.stats();
    measure::line(name.name(), size, args.mutators, args.workers, elapsed, &stats, &outcome)
}

fn by_name(name: WorkloadName) -> Run {
    match name {
        WorkloadName::Trees => trees::run,
        WorkloadName::Churn => churn::run,
        WorkloadName::Graph => graph::run,
        WorkloadName::Treemark => treemark::run,
        WorkloadName::List => list::run,
        WorkloadName::Quads => quads::run,
        WorkloadName::Gcbench => gcbench::run,
        WorkloadName::Latency => latency::run,
        WorkloadName::Mixed => mixed::run,
        WorkloadName::Frag => frag::run,
        WorkloadName::Shrink => shrink::run,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum_of(name: WorkloadName, size: usize, mutators: usize) -> u64 {
        let args = RunArgs {
            size: Some(size),
            mutators,
            workers: mutators,
            repeat: 1,
            max_heap: None,
            min_heap: Some(64 << 10),
            growth: None,
            small_pages: false,
            slice_us: None,
            sample: None,
            burn: 0,
        };
        let line = run_once(name, &args);
        let sum = line.split(' ').find_map(|pair| pair.strip_prefix("sum="));
        sum.and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("no sum in {line}"))
    }

    /// The sums that the peers print for the same sizes.
    #[test]
    fn sums_are_those_of_the_peers() {
        assert_eq!(sum_of(WorkloadName::Trees, 10, 1), 135_854);
        assert_eq!(sum_of(WorkloadName::Churn, 100_001, 1), 156_445_297);
        assert_eq!(sum_of(WorkloadName::Graph, 2_000, 1), 20_204_592);
        assert_eq!(sum_of(WorkloadName::Treemark, 12, 1), 8191);
        assert_eq!(sum_of(WorkloadName::List, 5_000, 1), 12_497_500);
        assert_eq!(sum_of(WorkloadName::Quads, 5, 1), 28_665);
        assert_eq!(sum_of(WorkloadName::Gcbench, 8, 1), 7382);
        assert_eq!(sum_of(WorkloadName::Latency, 1_000, 1), 6_548_075);
        assert_eq!(sum_of(WorkloadName::Mixed, 20_000, 1), 4_696_696);
        assert_eq!(sum_of(WorkloadName::Frag, 5_000, 1), 1_622_713);
        assert_eq!(sum_of(WorkloadName::Shrink, 5_000, 1), 123_179);
    }

    #[test]
    fn two_mutators_do_the_same_work() {
        assert_eq!(sum_of(WorkloadName::Trees, 10, 2), 135_854);
        assert_eq!(sum_of(WorkloadName::Churn, 100_001, 2), 156_445_297);
        assert_eq!(sum_of(WorkloadName::Gcbench, 8, 2), 7382);
        assert_eq!(sum_of(WorkloadName::Mixed, 20_000, 2), 2_517_823);
    }
}
