//! One row of work: a workload at a size and a number of threads, and which of
//! its numbers is the one to compare.

use std::fmt;

use crate::args::WorkloadName;
use crate::workloads::quads_heap_bytes;

/// A workload at a size and a number of threads.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) workload: WorkloadName,
    pub(super) size: usize,
    pub(super) mutators: usize,
    pub(super) workers: usize,
}

/// What a workload can use several processors for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scales {
    /// Threads that allocate, and as many that mark.
    Mutators,
    /// Threads that mark.
    Workers,
    /// Nothing that is measured.
    Nothing,
}

fn scales(workload: WorkloadName) -> Scales {
    match workload {
        WorkloadName::Trees | WorkloadName::Churn | WorkloadName::Gcbench | WorkloadName::Mixed => {
            Scales::Mutators
        }
        WorkloadName::Graph
        | WorkloadName::Treemark
        | WorkloadName::List
        | WorkloadName::Quads
        | WorkloadName::Latency => Scales::Workers,
        WorkloadName::Frag | WorkloadName::Shrink => Scales::Nothing,
    }
}

impl Case {
    /// What the workload can use several processors for.
    pub(super) fn scales(&self) -> Scales {
        scales(self.workload)
    }

    /// The cases of a workload at the given numbers of processors.
    pub(super) fn at_all(workload: WorkloadName, size: usize, procs: &[usize]) -> Vec<Case> {
        let case = |mutators, workers| Case { workload, size, mutators, workers };
        match scales(workload) {
            Scales::Mutators => procs.iter().map(|&n| case(n, n)).collect(),
            Scales::Workers => procs.iter().map(|&n| case(1, n)).collect(),
            Scales::Nothing => vec![case(1, 1)],
        }
    }

    /// The processors that a run may use: Go's GOMAXPROCS.
    pub(super) fn procs(&self) -> usize {
        self.mutators.max(self.workers)
    }

    /// The key of the number to compare.
    pub(super) fn metric(&self) -> &'static str {
        match self.workload {
            WorkloadName::Graph | WorkloadName::Treemark | WorkloadName::List => "best_full_gc_ms",
            WorkloadName::Latency => "p99.99_us",
            WorkloadName::Frag | WorkloadName::Shrink => "rss_over_live",
            _ => "wall_ms",
        }
    }

    /// More columns for this workload: their keys.
    pub(super) fn details(&self) -> &'static [&'static str] {
        match self.workload {
            WorkloadName::Graph | WorkloadName::Treemark | WorkloadName::List => &["build_ms"],
            WorkloadName::Quads => &["build_ms"],
            WorkloadName::Latency => &["p50_us", "p99.9_us", "max_us", "wall_ms"],
            WorkloadName::Frag => &["heap_over_live", "wall_ms"],
            WorkloadName::Shrink => &["heap_over_live", "mean_over_live", "wall_ms"],
            _ => &[],
        }
    }

    /// The heap of a JVM for this case in MiB: 64, as much as the moving
    /// collectors of the reference measurements had, or four times what is live
    /// where that is more; `quads` has its own rule.
    pub(super) fn java_heap_mb(&self) -> usize {
        let n = self.size;
        // In bytes, with a header of 12 or 16 bytes and references of 4.
        let live = match self.workload {
            WorkloadName::Quads => return quads_heap_bytes(n).div_ceil(1 << 20),
            WorkloadName::Trees => (2 << n) * 24,
            WorkloadName::Gcbench => (2 << n) * 32 + (4 << 20),
            WorkloadName::Treemark => (2 << n) * 24,
            WorkloadName::List => n * 24,
            WorkloadName::Graph => n * 52,
            WorkloadName::Latency => n * 1044 + (24 << 20),
            WorkloadName::Frag | WorkloadName::Shrink => n * 160,
            WorkloadName::Churn | WorkloadName::Mixed => 0,
        };
        (live * 4).div_ceil(1 << 20).max(64)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.workload.name(), self.size)?;
        let (mutators, workers) = (self.mutators, self.workers);
        let plural = |n| if n == 1 { "" } else { "s" };
        write!(f, ", {mutators} mutator{}, ", plural(mutators))?;
        write!(f, "{workers} worker{}", plural(workers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_become_mutators_or_workers() {
        let cases = Case::at_all(WorkloadName::Churn, 64, &[1, 2]);
        assert_eq!(cases[1].to_string(), "churn 64, 2 mutators, 2 workers");
        let cases = Case::at_all(WorkloadName::Graph, 64, &[1, 16]);
        assert_eq!(cases[1].to_string(), "graph 64, 1 mutator, 16 workers");
        assert_eq!(cases[1].procs(), 16);
        assert_eq!(Case::at_all(WorkloadName::Frag, 64, &[1, 2]).len(), 1);
    }

    #[test]
    fn quads_hold_java_to_the_same_limit() {
        let case = &Case::at_all(WorkloadName::Quads, 9, &[1])[0];
        assert_eq!(case.java_heap_mb(), 27);
        let case = &Case::at_all(WorkloadName::Churn, 9, &[1])[0];
        assert_eq!(case.java_heap_mb(), 64);
    }
}
