//! The heap of one run, its mutator threads, and the safepoint poll.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use heap_api::{Config, Cx};

use crate::args::RunArgs;

/// The configuration that the flags ask for; what they leave open is `defaults`'.
pub(crate) fn config(args: &RunArgs, defaults: Config) -> Config {
    let mut config = defaults.helpers(args.workers - 1);
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
    config
}

/// The poll at a loop's back-edge: a safepoint if one is wanted.
#[inline(always)]
pub(crate) fn poll(cx: &mut Cx) {
    if cx.should_yield() {
        cx.safepoint();
    }
}

/// Runs `part(mutator, cx)` on all mutators, the calling thread being the first,
/// and adds up what they return. While it waits for the others, it is parked.
pub(crate) fn on_mutators(
    cx: &mut Cx,
    mutators: usize,
    part: impl Fn(usize, &mut Cx) -> u64 + Sync,
) -> u64 {
    let heap = cx.heap();
    std::thread::scope(|scope| {
        let (heap, part) = (&heap, &part);
        let others: Vec<_> = (1..mutators)
            .map(|mutator| scope.spawn(move || part(mutator, &mut heap.enter())))
            .collect();
        let mut sum = part(0, cx);
        cx.park(|| {
            for other in others {
                let more = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                sum = sum.wrapping_add(more);
            }
        });
        sum
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

    #[test]
    fn batches_cover_everything_once() {
        for n in [0, 1, BATCH, BATCH + 1, 3 * BATCH - 1] {
            assert_eq!(batches(n).flatten().collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
        }
    }
}
