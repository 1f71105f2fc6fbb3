//! What every run measures: wall time, the heap's own statistics, the resident
//! size, and the line that says it all.

use std::fmt::{Display, Write as _};
use std::time::{Duration, Instant};

use heap_api::{Cx, Stats};

/// What a workload reports besides what the meter sees.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The check that all programs agree on.
    pub(crate) sum: u64,
    /// The time that counts, where it is not the whole run.
    pub(crate) wall: Option<Duration>,
    /// More `key=value` pairs, each with a space in front.
    pub(crate) extra: String,
}

impl Outcome {
    /// An outcome whose time is the whole run.
    pub(crate) fn of(sum: u64) -> Outcome {
        Outcome { sum, wall: None, extra: String::new() }
    }

    /// Adds a pair to the line.
    pub(crate) fn with(mut self, key: &str, value: impl Display) -> Outcome {
        // Writing to a string cannot fail.
        let _ = write!(self.extra, " {key}={value}");
        self
    }

    /// Says that only `wall` counts.
    pub(crate) fn timed(mut self, wall: Duration) -> Outcome {
        self.wall = Some(wall);
        self
    }
}

/// Milliseconds, as the output has them.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Mebibytes, as the output has them.
pub(crate) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The highest resident size of this process so far, in MiB.
pub(crate) fn peak_rss_mb() -> f64 {
    status_mb("VmHWM:")
}

/// The resident size of this process, in MiB.
pub(crate) fn rss_mb() -> f64 {
    status_mb("VmRSS:")
}

/// One "kB" line of `/proc/self/status` in MiB; 0 where there is no such file.
fn status_mb(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    parse_status_mb(&status, key)
}

fn parse_status_mb(status: &str, key: &str) -> f64 {
    let line = status.lines().find_map(|l| l.strip_prefix(key)).unwrap_or("0");
    line.trim_end_matches("kB").trim().parse::<f64>().unwrap_or(0.0) / 1024.0
}

/// Seven full collections of what a marking workload built.
#[derive(Debug)]
pub(crate) struct FullCollections {
    best: Duration,
    total: Duration,
    /// What the last of them marked.
    marked: u64,
}

impl FullCollections {
    /// Collects seven times. Each has to finish sweeping after the one before,
    /// so the time of one is that of marking and of sweeping.
    pub(crate) fn run(cx: &mut Cx) -> FullCollections {
        let mut all = FullCollections { best: Duration::MAX, total: Duration::ZERO, marked: 0 };
        for _ in 0..7 {
            let t = Instant::now();
            cx.collect();
            let took = t.elapsed();
            all.best = all.best.min(took);
            all.total += took;
        }
        all.marked = cx.heap().stats().marked_objects;
        all
    }

    /// The outcome of a marking workload whose live structure has `live` objects.
    pub(crate) fn outcome(&self, build: Duration, live: u64, sum: u64) -> Outcome {
        assert!(self.marked >= live, "marked {} of {live} objects", self.marked);
        Outcome::of(sum)
            .timed(build + self.total)
            .with("build_ms", format_args!("{:.3}", millis(build)))
            .with("best_full_gc_ms", format_args!("{:.3}", millis(self.best)))
            .with("marked_objects", self.marked)
    }
}

/// One run's line.
pub(crate) fn line(
    name: &str,
    size: usize,
    mutators: usize,
    workers: usize,
    elapsed: Duration,
    stats: &Stats,
    outcome: &Outcome,
) -> String {
    format!(
        "workload={name} size={size} mutators={mutators} workers={workers} wall_ms={:.3} gcs={} \
         steps={} max_pause_us={:.1} rss_peak_mb={:.1} heap_peak_mb={:.1} sum={}{} mark_ms={:.3} \
         sweep_ms={:.3} stop_ms={:.3} pause_ms={:.3}",
        millis(outcome.wall.unwrap_or(elapsed)),
        stats.collections,
        stats.steps,
        stats.pause_time_max.as_secs_f64() * 1e6,
        peak_rss_mb(),
        mebibytes(stats.heap_bytes_max),
        outcome.sum,
        outcome.extra,
        millis(stats.mark_time),
        millis(stats.sweep_time),
        millis(stats.stop_time),
        millis(stats.pause_time),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_status_lines() {
        let status = "Name:\theap-bench\nVmHWM:\t    2048 kB\nVmRSS:\t     512 kB\n";
        assert_eq!(parse_status_mb(status, "VmHWM:"), 2.0);
        assert_eq!(parse_status_mb(status, "VmRSS:"), 0.5);
        assert_eq!(parse_status_mb(status, "VmSwap:"), 0.0);
    }

    #[test]
    fn outcomes_collect_pairs() {
        let outcome = Outcome::of(7).with("a", 1).with("b", format_args!("{:.1}", 2.0));
        assert_eq!(outcome.extra, " a=1 b=2.0");
        assert_eq!(outcome.sum, 7);
    }
}
