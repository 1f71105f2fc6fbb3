//! What the peers in Rust share: the command line, the meter, the output line,
//! the random numbers, the sizes that the workloads agree on, and the workloads that
//! differ in nothing but the type of a block.
//!
//! What each workload does is written down in the README of heap-bench; every
//! program must arrive at the same `sum`.

pub mod blocks;

use std::process::exit;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// The command line, as `heap-bench compare` passes it to every peer.
#[derive(Clone, Debug)]
pub struct Options {
    pub workload: String,
    pub size: usize,
    pub mutators: usize,
    pub workers: usize,
    pub repeat: usize,
}

impl Options {
    /// Reads `WORKLOAD --size N [--mutators M] [--workers W] [--repeat R]`.
    fn parse() -> Options {
        let mut args = std::env::args().skip(1);
        let workload = args.next().unwrap_or_default();
        let mut o = Options { workload, size: 0, mutators: 1, workers: 1, repeat: 1 };
        while let (Some(flag), Some(value)) = (args.next(), args.next()) {
            let value = value.parse().unwrap_or_else(|_| usage());
            match flag.as_str() {
                "--size" => o.size = value,
                "--mutators" => o.mutators = value,
                "--workers" => o.workers = value,
                "--repeat" => o.repeat = value,
                _ => usage(),
            }
        }
        if o.size == 0 || o.mutators == 0 {
            usage();
        }
        o
    }
}

fn usage() -> ! {
    eprintln!("usage: WORKLOAD --size N [--mutators M] [--workers W] [--repeat R]");
    exit(2)
}

/// What a run reports besides what the meter sees.
#[derive(Debug, Default)]
pub struct Outcome {
    pub sum: u64,
    /// Milliseconds, where only a part of the run counts.
    pub wall_ms: Option<f64>,
    pub extra: String,
    pub collections: u64,
    /// Microseconds; not a number where it cannot be seen from outside.
    pub max_pause_us: f64,
}

impl Outcome {
    pub fn of(sum: u64) -> Outcome {
        Outcome { sum, ..Outcome::default() }
    }
}

/// Runs a peer: `run` gives `None` for a workload that this memory manager cannot do.
pub fn main_with(run: impl Fn(&Options) -> Option<Outcome>) {
    let o = Options::parse();
    for _ in 0..o.repeat {
        let start = Instant::now();
        let Some(outcome) = run(&o) else {
            eprintln!("skip: workload {} with {} mutators", o.workload, o.mutators);
            exit(3);
        };
        let wall = outcome.wall_ms.unwrap_or_else(|| millis(start));
        // None of these libraries counts the bytes of its heap.
        println!(
            "workload={} size={} mutators={} workers={} wall_ms={wall:.3} gcs={} max_pause_us={:.1} \
             rss_peak_mb={:.1} heap_peak_mb=nan sum={}{}",
            o.workload,
            o.size,
            o.mutators,
            o.workers,
            outcome.collections,
            outcome.max_pause_us,
            status_mb("VmHWM:"),
            outcome.sum,
            outcome.extra
        );
    }
}

pub fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// One "kB" line of `/proc/self/status`, in MiB.
pub fn status_mb(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(key)).unwrap_or("0");
    line.trim_end_matches("kB").trim().parse::<f64>().unwrap_or(0.0) / 1024.0
}

/// The result of a marking workload: seven full collections by `collect`.
pub fn marking(build_ms: f64, marked: usize, mut collect: impl FnMut()) -> Outcome {
    let times: [f64; 7] = std::array::from_fn(|_| {
        let t = Instant::now();
        collect();
        millis(t)
    });
    let best = times.iter().copied().fold(f64::INFINITY, f64::min);
    Outcome {
        wall_ms: Some(build_ms + times.iter().sum::<f64>()),
        extra: format!(" build_ms={build_ms:.3} best_full_gc_ms={best:.3} marked_objects={marked}"),
        ..Outcome::default()
    }
}

/// The result of `latency`, from the times of all pushes in nanoseconds.
pub fn latencies(mut times: Vec<u64>) -> String {
    times.sort_unstable();
    let at = |per10000: usize| times[(times.len() - 1) * per10000 / 10000] as f64 / 1e3;
    format!(
        " p50_us={:.2} p99.9_us={:.2} p99.99_us={:.2} max_us={:.2}",
        at(5000),
        at(9990),
        at(9999),
        at(10000)
    )
}

/// The result of `frag` and `shrink`; the heap's own size is not known here.
pub fn fragmentation(live_words: u64, rss_mb: f64) -> String {
    let live = live_words as f64 * 8.0 / 1048576.0;
    format!(" live_mb={live:.1} heap_over_live=nan rss_over_live={:.3}", rss_mb / live)
}

/// xorshift64, the generator of every workload that needs random numbers.
#[derive(Clone, Debug)]
pub struct Xorshift64(pub u64);

pub const SEED: u64 = 88172645463325252;

impl Xorshift64 {
    #[allow(clippy::should_implement_trait, reason = "an endless generator, not an iterator")]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// One step of `mixed`, drawn from one random number.
#[derive(Debug)]
pub struct MixedStep {
    pub words: bool,
    pub length: usize,
    pub place: usize,
    pub survives: bool,
}

pub const MIXED_SURVIVORS: usize = 32768;

impl MixedStep {
    pub fn draw(rng: &mut Xorshift64, places: usize) -> MixedStep {
        let r = rng.next();
        let octave = (r | 1 << 13).trailing_zeros();
        MixedStep {
            words: r >> 63 == 0,
            length: ((1 << octave) + ((r >> 32) as usize & ((1 << octave) - 1))).min(8192),
            place: (r >> 20 & 0xfffff) as usize % places,
            survives: (r >> 16).is_multiple_of(20),
        }
    }
}

/// Runs `part(mutator)` on every mutator and adds up what they return.
pub fn on_mutators(mutators: usize, part: impl Fn(usize) -> u64 + Sync) -> u64 {
    if mutators == 1 {
        return part(0);
    }
    std::thread::scope(|s| {
        let part = &part;
        let threads: Vec<_> = (0..mutators).map(|m| s.spawn(move || part(m))).collect();
        threads.into_iter().map(|t| t.join().expect("mutator panicked")).fold(0, u64::wrapping_add)
    })
}

/// The jobs of a workload, handed out in order.
#[derive(Debug, Default)]
pub struct Jobs(AtomicUsize);

impl Jobs {
    pub fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// Zeroes by `malloc` and `memset`: `vec![0; length]` is `calloc`, which leaves a thread's cache
/// alone in many a C library, and is slower for small arrays.
pub fn zeroed<T: Copy + Default>(length: usize) -> Vec<T> {
    std::iter::repeat_n(T::default(), length).collect()
}

/// Leaves what is alive in the end to the end of the process: to free it is no part of any
/// workload, and collectors do not.
pub fn keep<T>(alive: T) {
    std::mem::forget(alive);
}

/// The part of `n` that falls to mutator `m` of `all`.
pub fn share(n: usize, m: usize, all: usize) -> std::ops::Range<usize> {
    n * m / all..n * (m + 1) / all
}

const CHAIN_LENGTH: usize = 64;
const CHAINS_PER_JOB: usize = 1024;

/// The chains of `churn`: each as the range of its values, in jobs of [`CHAINS_PER_JOB`] that
/// are handed out in order.
pub fn chains(jobs: &Jobs, cells: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let chains = cells.div_ceil(CHAIN_LENGTH);
    let job = move || {
        let first = jobs.next() * CHAINS_PER_JOB;
        (first < chains).then(|| first..(first + CHAINS_PER_JOB).min(chains))
    };
    std::iter::from_fn(job)
        .flatten()
        .map(move |c| c * CHAIN_LENGTH..((c + 1) * CHAIN_LENGTH).min(cells))
}

pub const MESSAGE_BYTES: usize = 1024;
pub const LATENCY_TREE_DEPTH: usize = 19;
pub const SHRINK_ROUNDS: usize = 100;
pub const GCBENCH_FLOATS: usize = 500_000;

pub fn tree_nodes(depth: usize) -> u64 {
    (2 << depth) - 1
}

pub fn quad_nodes(depth: usize) -> u64 {
    ((4 << (2 * depth)) - 1) / 3
}

/// How many depth-3 trees a round of `quads` allocates.
pub fn quads_per_round(depth: usize) -> u64 {
    (quad_nodes(depth) * 32 * 5 / 2) * 2 / 15 / (quad_nodes(3) * 32)
}
