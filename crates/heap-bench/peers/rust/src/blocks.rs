//! `frag` and `shrink`, for memory managers whose blocks are values that a vector can
//! hold: a block comes from `block`, which is given its length in words and its first
//! word, and dies when its place in the vector is overwritten.

use std::ops::Deref;
use std::time::Instant;

use crate::*;

/// As many blocks of 2 to 32 words, and the sum of their lengths.
fn fill<B: Deref<Target = [u64]>>(
    rng: &mut Xorshift64,
    size: usize,
    block: impl Fn(u64, usize) -> B,
) -> (Vec<Option<B>>, u64) {
    let mut words = 0;
    let new = |i| {
        let b = block(2 + rng.next() % 31, i);
        words += b.len() as u64;
        Some(b)
    };
    let blocks = (0..size).map(new).collect();
    (blocks, words)
}

/// Frees nine in ten at random and says how many are left, and of how many words.
pub fn thin<B: Deref<Target: AsRef<[u64]>>>(
    rng: &mut Xorshift64,
    blocks: &mut [Option<B>],
) -> (usize, u64) {
    let (mut left, mut words) = (0, 0);
    for place in blocks {
        if !rng.next().is_multiple_of(10) {
            *place = None;
        } else if let Some(b) = place {
            left += 1;
            words += (**b).as_ref().len() as u64;
        }
    }
    (left, words)
}

/// Blocks of which one in ten survives, then as many words in larger blocks in free places;
/// `collect` runs after the freeing, and before memory is looked at.
pub fn frag<B: Deref<Target = [u64]>>(
    o: &Options,
    block: impl Fn(u64, usize) -> B,
    collect: impl Fn(),
) -> Outcome {
    let start = Instant::now();
    let mut rng = Xorshift64(SEED);
    let (mut blocks, filled) = fill(&mut rng, o.size, &block);
    let (_, mut live) = thin(&mut rng, &mut blocks);
    collect();
    let (mut i, mut refilled) = (0, 0);
    while live < filled {
        let place = &mut blocks[i];
        if place.is_none() {
            let b = block(35 + rng.next() % 125, refilled);
            live += b.len() as u64;
            *place = Some(b);
            refilled += 1;
        }
        i += 1;
    }
    collect();
    let wall_ms = Some(millis(start));
    let rss = status_mb("VmRSS:");
    let sum = blocks.iter().flatten().map(|b| b[0] + b.len() as u64).sum();
    Outcome { sum, wall_ms, extra: fragmentation(live, rss), ..Outcome::default() }
}

/// Blocks of which one in ten survives, in a vector of their own, then as many as there are
/// are replaced a hundred times over; `collect` runs before that and before memory is looked
/// at.
pub fn shrink<B: Deref<Target = [u64]>>(
    o: &Options,
    block: impl Fn(u64, usize) -> B,
    collect: impl Fn(),
) -> Outcome {
    let mut rng = Xorshift64(SEED);
    let (mut filled, _) = fill(&mut rng, o.size, &block);
    let (n, _) = thin(&mut rng, &mut filled);
    let mut blocks = Vec::with_capacity(n);
    blocks.extend(filled.into_iter().flatten());
    collect();
    let start = Instant::now();
    for _ in 0..SHRINK_ROUNDS * n {
        let i = rng.next() as usize % n;
        blocks[i] = block(2 + rng.next() % 31, i);
    }
    let wall_ms = Some(millis(start));
    collect();
    let rss = status_mb("VmRSS:");
    let live = blocks.iter().map(|b| b.len() as u64).sum();
    let sum = blocks.iter().map(|b| b[0] + b.len() as u64).sum();
    Outcome { sum, wall_ms, extra: fragmentation(live, rss), ..Outcome::default() }
}
