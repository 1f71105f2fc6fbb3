//! `frag`: fill with N arrays of 2 to 32 words, free nine in ten at random,
//! refill with arrays of 35 to 159 words up to the first size. A heap that does
//! not move objects shows here what it loses in half-empty spans.

use std::cell::Cell;

use heap_api::{Cx, Gc, GcCell, Root};

use crate::args::RunArgs;
use crate::measure::{Outcome, mebibytes, rss_mb};
use crate::rng::{SEED, Xorshift64};
use crate::session::{batches, poll};

pub(super) type Block = [Cell<u64>];
pub(super) type Blocks<'gc> = [GcCell<Option<Gc<'gc, Block>>>];

const SHORTEST_REFILL: usize = 35;

/// An array of `length` words whose first is `first`.
pub(super) fn block(cx: &Cx, length: usize, first: usize) -> Gc<'_, Block> {
    let block = cx.alloc_slice_fn(length, |_| Cell::new(0));
    block[0].set(first as u64);
    block
}

/// An array of empty places.
pub(super) fn slots(cx: &Cx, length: usize) -> Root<Blocks<'static>> {
    let slots: Gc<'_, Blocks<'_>> = cx.alloc_slice_fn(length, |_| GcCell::new(None));
    cx.root(slots)
}

pub(super) fn run(_: &RunArgs, size: usize, cx: &mut Cx) -> Outcome {
    let mut rng = Xorshift64(SEED);
    let blocks = slots(cx, size);
    for batch in batches(size) {
        let blocks = blocks.get(cx);
        for i in batch {
            blocks[i].set(cx, Some(block(cx, 2 + rng.below(31), i)));
        }
        poll(cx);
    }
    let filled = words(&blocks.get(cx));
    for slot in blocks.get(cx).iter() {
        if rng.below(10) != 0 {
            slot.set(cx, None);
        }
    }
    let mut live = words(&blocks.get(cx));
    cx.collect();
    let refill = slots(cx, filled / SHORTEST_REFILL + 1);
    let mut refilled = 0;
    while live < filled {
        let new = block(cx, SHORTEST_REFILL + rng.below(125), refilled);
        refill.get(cx)[refilled].set(cx, Some(new));
        live += new.len();
        refilled += 1;
        poll(cx);
    }
    cx.collect();
    // A second collection waits until everything is swept after the first, so
    // the sizes below are those of a heap at rest.
    cx.collect();
    let heap_mb = mebibytes(cx.heap().stats().heap_bytes);
    let rss_mb = rss_mb();
    let live_mb = mebibytes((live * size_of::<u64>()) as u64);
    Outcome::of(check(&blocks.get(cx)) + check(&refill.get(cx)))
        .with("live_mb", format_args!("{live_mb:.1}"))
        .with("heap_over_live", format_args!("{:.3}", heap_mb / live_mb))
        .with("rss_over_live", format_args!("{:.3}", rss_mb / live_mb))
}

/// Words in all of them.
pub(super) fn words(blocks: &Blocks<'_>) -> usize {
    blocks.iter().filter_map(GcCell::get).map(|block| block.len()).sum()
}

/// The first words and the lengths, added up.
pub(super) fn check(blocks: &Blocks<'_>) -> u64 {
    blocks.iter().filter_map(GcCell::get).map(|block| block[0].get() + block.len() as u64).sum()
}
