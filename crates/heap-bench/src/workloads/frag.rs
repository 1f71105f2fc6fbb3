//! `frag`: fill with N arrays of 2 to 32 words, free nine in ten at random,
//! put arrays of 35 to 159 words into free places up to the first size. A heap that
//! does not move objects shows here what it loses in half-empty spans.

use std::cell::Cell;
use std::time::Instant;

use heap_api::{Cx, Gc, GcCell, Root};

use crate::args::RunArgs;
use crate::measure::{Outcome, mebibytes, rss_mb};
use crate::rng::{SEED, Xorshift64};
use crate::session::{batches, poll};

pub(super) type Block = [Cell<u64>];
pub(super) type Blocks<'gc> = [GcCell<Option<Gc<'gc, Block>>>];

/// A zeroed array of `length` words whose first is `first`.
pub(super) fn block(cx: &Cx, length: usize, first: usize) -> Gc<'_, Block> {
    let block = cx.alloc_slice_zeroed::<Cell<u64>>(length);
    block[0].set(first as u64);
    block
}

/// An array of empty places.
pub(super) fn slots(cx: &Cx, length: usize) -> Root<Blocks<'static>> {
    let slots: Gc<'_, Blocks<'_>> = cx.alloc_slice_zeroed(length);
    cx.root(slots)
}

/// As many arrays of 2 to 32 words, and the sum of their lengths.
pub(super) fn fill(
    cx: &mut Cx,
    rng: &mut Xorshift64,
    size: usize,
) -> (Root<Blocks<'static>>, usize) {
    let root = slots(cx, size);
    let mut words = 0;
    for batch in batches(size) {
        let blocks = root.get(cx);
        for i in batch {
            let new = block(cx, 2 + rng.below(31), i);
            blocks[i].set(cx, Some(new));
            words += new.len();
        }
        poll(cx);
    }
    (root, words)
}

/// Frees nine in ten, at random, and says how many there are then, and of how many words.
pub(super) fn thin(cx: &Cx, rng: &mut Xorshift64, blocks: &Blocks<'_>) -> (usize, usize) {
    let (mut left, mut words) = (0, 0);
    for slot in blocks {
        if rng.below(10) != 0 {
            slot.set(cx, None);
        } else if let Some(block) = slot.get() {
            left += 1;
            words += block.len();
        }
    }
    (left, words)
}

pub(super) fn run(_: &RunArgs, size: usize, cx: &mut Cx) -> Outcome {
    let start = Instant::now();
    let mut rng = Xorshift64(SEED);
    let (blocks, filled) = fill(cx, &mut rng, size);
    let (_, mut live) = thin(cx, &mut rng, &blocks.get(cx));
    cx.collect_and_drop();
    // An array is longer now than any was before, so there are enough free places.
    let (mut i, mut refilled) = (0, 0);
    while live < filled {
        let slot = &blocks.get(cx)[i];
        if slot.get().is_none() {
            let new = block(cx, 35 + rng.below(125), refilled);
            slot.set(cx, Some(new));
            live += new.len();
            refilled += 1;
        }
        i += 1;
        poll(cx);
    }
    cx.collect_and_drop();
    let wall = start.elapsed();
    let heap_mb = mebibytes(cx.heap().stats().heap_bytes);
    let rss_mb = rss_mb();
    let live_mb = mebibytes((live * size_of::<u64>()) as u64);
    Outcome::of(check(&blocks.get(cx)))
        .timed(wall)
        .with("live_mb", format_args!("{live_mb:.1}"))
        .with("heap_over_live", format_args!("{:.3}", heap_mb / live_mb))
        .with("rss_over_live", format_args!("{:.3}", rss_mb / live_mb))
}

/// The first words and the lengths, added up.
pub(super) fn check(blocks: &Blocks<'_>) -> u64 {
    blocks.iter().filter_map(GcCell::get).map(|block| block[0].get() + block.len() as u64).sum()
}
