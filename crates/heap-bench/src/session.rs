//! The heap of one run, its mutator threads, and the safepoint poll.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use heap_api::{Config, Cx};

use crate::args::RunArgs;

/// The configuration that the flags ask for; what they leave open is `defaults`'.
pub(crate) fn config(args: &RunArgs, defaults: Config) -> Config {
    let mut config = defaults.mark_threads(args.workers - 1);
    if let Some(bytes) = args.max_heap {
        config = config.max_heap_bytes(bytes);
    }
    if let Some(bytes) = args.min_heap {
        config = config.min_heap_bytes(bytes);
    }
    if let Some(percent) = args.growth {
        config = config.growth_percent(percent);
    }
    if args.small_pages {
        config = config.huge_pages(false);
    }
    if let Some(microseconds) = args.slice_us {
        config = config.mark_slice(Duration::from_micros(microseconds));
    }
    if let Some(bytes) = args.sample {
        config = config.sample_bytes(bytes);
    }
    config
}

/// Runs `work` while threads keep that many processors busy.
pub(crate) fn beside_burners(burners: usize, work: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..burners {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::black_box(0);
                }
            });
        }
        // Also if it panics.
        let done = catch_unwind(AssertUnwindSafe(work));
        is_over.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| resume_unwind(panic));
    });
}

/// The poll at a loop's back-edge: a safepoint if one is wanted.
#[inline(always)]
pub(crate) fn poll(cx: &mut Cx) {
    if cx.should_yield() {
        cx.safepoint();
    }
}

/// Runs `part(mutator, cx)` on all mutators, the calling thread being the first,
/// and adds up what they return. While it waits for the others, it is parked: also when a
/// part has panicked, since the others may need a collection before they end.
pub(crate) fn on_mutators(
    cx: &mut Cx,
    mutators: usize,
    part: impl Fn(usize, &mut Cx) -> u64 + Sync,
) -> u64 {
    let heap = cx.heap();
    std::thread::scope(|scope| {
        let (heap, part) = (&heap, &part);
        let mut others = Vec::new();
        let first = catch_unwind(AssertUnwindSafe(|| {
            for mutator in 1..mutators {
                others.push(scope.spawn(move || part(mutator, &mut heap.enter())));
            }
            part(0, cx)
        }));
        let others: Vec<_> = cx.park(|| others.into_iter().map(|other| other.join()).collect());
        let sums = std::iter::once(first).chain(others);
        sums.map(|sum| sum.unwrap_or_else(|panic| resume_unwind(panic))).fold(0, u64::wrapping_add)
    })
}

/// The jobs of a workload, handed out to the mutators in order.
#[derive(Debug, Default)]
pub(crate) struct Jobs(AtomicUsize);

impl Jobs {
    /// The next job's number.
    pub(crate) fn take(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// The part of `n` that falls to mutator `m` of `all`.
pub(crate) fn share(n: usize, m: usize, all: usize) -> Range<usize> {
    n * m / all..n * (m + 1) / all
}

/// How many objects a loop makes between two polls, where one step is too short
/// for a poll of its own.
pub(crate) const BATCH: usize = 1024;

/// `0..n` in pieces of [`BATCH`].
pub(crate) fn batches(n: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n).step_by(BATCH).map(move |start| start..(start + BATCH).min(n))
}

#[cfg(test)]
mod tests {
    use heap_api::Heap;

    use super::*;

    #[test]
    fn shares_cover_everything_once() {
        for n in [0, 1, 7, 100] {
            for all in 1..5 {
                let parts: Vec<usize> = (0..all).flat_map(|m| share(n, m, all)).collect();
                assert_eq!(parts, (0..n).collect::<Vec<_>>());
            }
        }
    }

    /// One mutator panics, the others go on, and need collections that all take part in.
    #[test]
    fn a_panic_of_one_mutator_ends_the_run_and_not_the_others() {
        for panicking in 0..3 {
            let heap = Heap::new(Config::new());
            let ended = AtomicUsize::new(0);
            let part = |mutator, cx: &mut Cx| {
                assert_ne!(mutator, panicking, "a mutator panics, and this is a test of it");
                for _ in 0..3 {
                    cx.collect();
                }
                ended.fetch_add(1, Ordering::Relaxed) as u64
            };
            let run = AssertUnwindSafe(|| on_mutators(&mut heap.enter(), 3, part));
            assert!(catch_unwind(run).is_err());
            assert_eq!(ended.into_inner(), 2);
        }
    }

    #[test]
    fn batches_cover_everything_once() {
        for n in [0, 1, BATCH, BATCH + 1, 3 * BATCH - 1] {
            assert_eq!(batches(n).flatten().collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
        }
    }
}
