//! `shrink`: fill with N arrays of 2 to 32 words and keep one in ten, at random;
//! then a hundred rounds, each of which replaces as many of those at random as
//! there are. What is alive stays the same, in a tenth of the memory that the heap
//! had: a heap that does not move objects shows here how it gets out of spans that
//! are nearly empty. Only the rounds count.

use std::time::Instant;

use heap_api::Cx;

use super::frag::{block, check, slots, words};
use crate::args::RunArgs;
use crate::measure::{Outcome, mebibytes, rss_mb};
use crate::rng::{SEED, Xorshift64};
use crate::session::{batches, poll};

const ROUNDS: usize = 100;

pub(super) fn run(_: &RunArgs, size: usize, cx: &mut Cx) -> Outcome {
    let mut rng = Xorshift64(SEED);
    let filled = slots(cx, size);
    for batch in batches(size) {
        let filled = filled.get(cx);
        for i in batch {
            filled[i].set(cx, Some(block(cx, 2 + rng.below(31), i)));
        }
        poll(cx);
    }
    let kept: Vec<usize> = (0..size).filter(|_| rng.below(10) == 0).collect();
    let blocks = slots(cx, kept.len());
    for (slot, i) in blocks.get(cx).iter().zip(&kept) {
        slot.set(cx, filled.get(cx)[*i].get());
    }
    drop(filled);
    cx.collect();

    let heap_mb = |cx: &Cx| mebibytes(cx.heap().stats().heap_bytes);
    let mut rounds_mb = 0.0;
    let start = Instant::now();
    for _ in 0..ROUNDS {
        for _ in 0..kept.len() {
            let i = rng.below(kept.len());
            blocks.get(cx)[i].set(cx, Some(block(cx, 2 + rng.below(31), i)));
            poll(cx);
        }
        rounds_mb += heap_mb(cx);
    }
    let rounds = start.elapsed();
    cx.collect();
    // As in `frag`: the sizes below are those of a heap at rest.
    cx.collect();
    let live_mb = mebibytes((words(&blocks.get(cx)) * size_of::<u64>()) as u64);
    Outcome::of(check(&blocks.get(cx)))
        .timed(rounds)
        .with("live_mb", format_args!("{live_mb:.1}"))
        .with("mean_over_live", format_args!("{:.3}", rounds_mb / ROUNDS as f64 / live_mb))
        .with("heap_over_live", format_args!("{:.3}", heap_mb(cx) / live_mb))
        .with("rss_over_live", format_args!("{:.3}", rss_mb() / live_mb))
}
