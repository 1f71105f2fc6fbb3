//! `shrink`: fill with N arrays of 2 to 32 words and keep one in ten, at random;
//! then a hundred rounds, each of which replaces as many of those at random as
//! there are. What is alive stays the same, in a tenth of the memory that the heap
//! had: a heap that does not move objects shows here how it gets out of spans that
//! are nearly empty. Only the rounds count.

use std::time::Instant;

use heap_api::{Cx, GcCell, Root};

use super::frag::{Blocks, block, check, fill, slots, thin};
use crate::args::RunArgs;
use crate::measure::{Outcome, mebibytes, rss_mb};
use crate::rng::{SEED, Xorshift64};
use crate::session::poll;

const ROUNDS: usize = 100;

pub(super) fn run(_: &RunArgs, size: usize, cx: &mut Cx) -> Outcome {
    let mut rng = Xorshift64(SEED);
    let (blocks, n) = fill_and_keep(cx, &mut rng, size);
    cx.collect_and_drop();

    let heap_mb = |cx: &Cx| mebibytes(cx.heap().stats().heap_bytes);
    let mut rounds_mb = 0.0;
    let start = Instant::now();
    for _ in 0..ROUNDS {
        for _ in 0..n {
            let i = rng.below(n);
            blocks.get(cx)[i].set(cx, Some(block(cx, 2 + rng.below(31), i)));
            poll(cx);
        }
        rounds_mb += heap_mb(cx);
    }
    let rounds = start.elapsed();
    cx.collect_and_drop();
    let (heap_mb, rss_mb) = (heap_mb(cx), rss_mb());
    let live_mb = mebibytes((words(&blocks.get(cx)) * size_of::<u64>()) as u64);
    Outcome::of(check(&blocks.get(cx)))
        .timed(rounds)
        .with("live_mb", format_args!("{live_mb:.1}"))
        .with("mean_over_live", format_args!("{:.3}", rounds_mb / ROUNDS as f64 / live_mb))
        .with("heap_over_live", format_args!("{:.3}", heap_mb / live_mb))
        .with("rss_over_live", format_args!("{:.3}", rss_mb / live_mb))
}

/// The one in ten, in an array of their own, and how many there are.
fn fill_and_keep(cx: &mut Cx, rng: &mut Xorshift64, size: usize) -> (Root<Blocks<'static>>, usize) {
    let (filled, _) = fill(cx, rng, size);
    let filled = filled.get(cx);
    let (kept, _) = thin(cx, rng, &filled);
    let blocks = slots(cx, kept);
    for (slot, block) in blocks.get(cx).iter().zip(filled.iter().filter_map(GcCell::get)) {
        slot.set(cx, Some(block));
    }
    (blocks, kept)
}

/// Words in all of them.
fn words(blocks: &Blocks<'_>) -> usize {
    blocks.iter().filter_map(GcCell::get).map(|block| block.len()).sum()
}
