//! The command line. Also the list of workloads with their usual sizes, which
//! both the runs and `compare` go by.

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Workloads for the heap, and the same work on other collectors.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do: a workload's name runs it here.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Builds and runs the same work on everything installed; prints a table
    Compare(CompareArgs),
    /// Times one processor, several on one heap, and several that share nothing
    Scale(CompareArgs),
    /// Times the safepoints of a heap with a slice, in the cases that are hard to divide
    Pauses(PausesArgs),
    /// Times weak handles, ephemerons, weak maps and finalizers
    Weak(WeakArgs),
    /// Says what zeroed objects cost of which one word each is used
    Sparse(SparseArgs),
    #[command(flatten)]
    Run(Workload),
}

/// The workloads. The README says in full what each one does.
#[derive(Debug, Subcommand)]
pub(crate) enum Workload {
    /// Binary trees of growing depth, thrown away, beside a long-lived one
    Trees(RunArgs),
    /// Short-lived cells
    Churn(RunArgs),
    /// A live random graph, marked seven times
    Graph(RunArgs),
    /// A live tree, marked seven times
    Treemark(RunArgs),
    /// A live linked list, marked seven times
    List(RunArgs),
    /// A live tree of four-pointer objects in a heap of 2.5 times its size
    Quads(RunArgs),
    /// Trees built in both directions beside a long-lived tree and an array
    Gcbench(RunArgs),
    /// A ring of messages beside a live tree; every push is timed
    Latency(RunArgs),
    /// Arrays of power-law sizes, one in twenty of which survives for a while
    Mixed(RunArgs),
    /// Fill, free nine in ten, refill with other sizes
    Frag(RunArgs),
    /// Fill, free nine in ten, replace the rest again and again
    Shrink(RunArgs),
}

/// One run's size, threads and heap.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunArgs {
    /// Depth, count or length: see the README. The workload's usual size if left out
    #[arg(long)]
    pub(crate) size: Option<usize>,
    /// Threads that allocate
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub(crate) mutators: usize,
    /// Threads that mark, the collecting one included
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub(crate) workers: usize,
    /// How often to run it, each time in a fresh heap
    #[arg(long, default_value_t = 1)]
    pub(crate) repeat: usize,
    /// A hard limit for the heap, in bytes or with a suffix K, M or G
    #[arg(long, value_parser = bytes)]
    pub(crate) max_heap: Option<usize>,
    /// No collection is due below this size, in bytes or with a suffix
    #[arg(long, value_parser = bytes)]
    pub(crate) min_heap: Option<usize>,
    /// Growth over the live size before a collection is due, in percent
    #[arg(long)]
    pub(crate) growth: Option<u32>,
    /// Do not ask the system for huge pages
    #[arg(long)]
    pub(crate) small_pages: bool,
    /// Mark in slices of this many microseconds, when a collection is due
    #[arg(long)]
    pub(crate) slice_us: Option<u64>,
    /// Sample allocations: the mean number of bytes between two samples, or with a suffix
    #[arg(long, value_parser = bytes)]
    pub(crate) sample: Option<usize>,
    /// Threads that keep processors busy meanwhile, as other programs do
    #[arg(long, default_value_t = 0)]
    pub(crate) burn: usize,
}

/// What `pauses` runs.
#[derive(Args, Debug)]
pub(crate) struct PausesArgs {
    /// Cases by name. All if left out
    #[arg(long, value_delimiter = ',')]
    pub(crate) cases: Vec<String>,
    /// The slice in microseconds
    #[arg(long, default_value_t = 500)]
    pub(crate) slice_us: u64,
    /// Threads that mark, the collecting one included
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub(crate) workers: usize,
    /// Do not ask the system for huge pages
    #[arg(long)]
    pub(crate) small_pages: bool,
    /// Sizes, in percent of the usual ones
    #[arg(long, default_value_t = 100)]
    pub(crate) percent: usize,
}

/// What `weak` runs.
#[derive(Args, Debug)]
pub(crate) struct WeakArgs {
    /// Cases by name. All if left out
    #[arg(long, value_delimiter = ',')]
    pub(crate) cases: Vec<String>,
    /// Threads that mark, the collecting one included
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub(crate) workers: usize,
    /// Sizes, in percent of the usual ones
    #[arg(long, default_value_t = 100)]
    pub(crate) percent: usize,
    /// How often to run each, in a fresh heap
    #[arg(long, default_value_t = 1)]
    pub(crate) repeat: usize,
}

/// What `sparse` runs.
#[derive(Args, Debug)]
pub(crate) struct SparseArgs {
    /// Objects
    #[arg(long, default_value_t = 20_000)]
    pub(crate) objects: usize,
    /// Bytes of each
    #[arg(long, default_value_t = 40_000)]
    pub(crate) bytes: usize,
    /// Do not ask the system for huge pages
    #[arg(long)]
    pub(crate) small_pages: bool,
}

/// What `compare` and `scale` run.
#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// Workloads, each with an optional size: `trees:18,graph`. All if left out
    #[arg(long, value_delimiter = ',', value_parser = named_size)]
    pub(crate) workloads: Vec<(WorkloadName, usize)>,
    /// Peers to run. All that are found, if left out; in `scale`, heap and go
    #[arg(long, value_delimiter = ',')]
    pub(crate) peers: Vec<PeerName>,
    /// Rounds; every configuration runs once in each
    #[arg(long, default_value_t = 5, value_parser = at_least_one)]
    pub(crate) runs: usize,
    /// Numbers of processors: mutators and workers where a workload has several
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2], value_parser = at_least_one)]
    pub(crate) procs: Vec<usize>,
    /// Seconds after which a single run is given up
    #[arg(long, default_value_t = 120)]
    pub(crate) timeout: u64,
    /// Runs of a JVM in one process before the one that counts
    #[arg(long, default_value_t = 2)]
    pub(crate) java_warmup: usize,
    /// Flags for this heap's own runs, in one argument: `--heap-flags="--growth 300"`
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub(crate) heap_flags: String,
    /// The heap of every JVM in MiB, instead of one chosen by workload
    #[arg(long)]
    pub(crate) java_heap: Option<usize>,
}

/// A workload's name, in the order of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WorkloadName {
    Trees,
    Churn,
    Graph,
    Treemark,
    List,
    Quads,
    Gcbench,
    Latency,
    Mixed,
    Frag,
    Shrink,
}

impl WorkloadName {
    /// The name on the command line and in the output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            WorkloadName::Trees => "trees",
            WorkloadName::Churn => "churn",
            WorkloadName::Graph => "graph",
            WorkloadName::Treemark => "treemark",
            WorkloadName::List => "list",
            WorkloadName::Quads => "quads",
            WorkloadName::Gcbench => "gcbench",
            WorkloadName::Latency => "latency",
            WorkloadName::Mixed => "mixed",
            WorkloadName::Frag => "frag",
            WorkloadName::Shrink => "shrink",
        }
    }

    /// The size that the tables use.
    pub(crate) fn usual_size(self) -> usize {
        match self {
            WorkloadName::Trees => 18,
            WorkloadName::Churn => 100_000_000,
            WorkloadName::Graph => 4_000_000,
            WorkloadName::Treemark => 22,
            WorkloadName::List => 5_000_000,
            WorkloadName::Quads => 9,
            WorkloadName::Gcbench => 16,
            WorkloadName::Latency => 100_000,
            WorkloadName::Mixed => 10_000_000,
            WorkloadName::Frag | WorkloadName::Shrink => 1_000_000,
        }
    }
}

/// Something to compare with; `heap` is this heap itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PeerName {
    Heap,
    Go,
    JavaParallel,
    JavaG1,
    JavaZ,
    JavaSerial,
    Bdwgc,
    GcArena,
    Dumpster,
    Box,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(n) => Ok(n),
        Err(error) => Err(error.to_string()),
    }
}

fn bytes(text: &str) -> Result<usize, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: usize = digits.parse().map_err(|e: std::num::ParseIntError| e.to_string())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".to_owned())
}

fn named_size(text: &str) -> Result<(WorkloadName, usize), String> {
    let (name, size) = match text.split_once(':') {
        Some((name, size)) => (name, Some(size)),
        None => (text, None),
    };
    let name = WorkloadName::from_str(name, false)?;
    let size = match size {
        Some(size) => at_least_one(size)?,
        None => name.usual_size(),
    };
    Ok((name, size))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_take_suffixes() {
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("64M"), Ok(64 << 20));
        assert_eq!(bytes("2g"), Ok(2 << 30));
        assert!(bytes("M").is_err());
        assert!(bytes("99999999999999G").is_err());
    }

    #[test]
    fn workloads_take_sizes() {
        assert_eq!(named_size("trees:12"), Ok((WorkloadName::Trees, 12)));
        assert_eq!(named_size("quads"), Ok((WorkloadName::Quads, 9)));
        assert!(named_size("trees:0").is_err());
        assert!(named_size("shrubs").is_err());
    }
}
