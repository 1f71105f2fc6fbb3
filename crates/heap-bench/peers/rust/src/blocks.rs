//! `frag` and `shrink`, for memory managers whose blocks are values that a vector can
//! hold: a block comes from `block`, which is given its length in words and its first
//! word, and dies when its place in the vector is overwritten.

use std::ops::Deref;
use std::time::Instant;

use crate::*;

/// Blocks of which one in ten survives, then as many words in larger blocks; `collect`
/// runs before memory is looked at.
pub fn frag<B: Deref<Target = [u64]>>(
    o: &Options,
    block: impl Fn(u64, usize) -> B,
    collect: impl Fn(),
) -> Outcome {
    let mut rng = Xorshift64(SEED);
    let mut blocks: Vec<Option<B>> =
        (0..o.size).map(|i| Some(block(2 + rng.next() % 31, i))).collect();
    let words = |b: &Option<B>| b.as_ref().map_or(0, |b| b.len() as u64);
    let filled: u64 = blocks.iter().map(words).sum();
    for b in &mut blocks {
        if !rng.next().is_multiple_of(10) {
            *b = None;
        }
    }
    let mut live: u64 = blocks.iter().map(words).sum();
    let mut refill = Vec::new();
    while live < filled {
        let b = block(35 + rng.next() % 125, refill.len());
        live += b.len() as u64;
        refill.push(b);
    }
    collect();
    let rss = status_mb("VmRSS:");
    let sum = blocks.iter().flatten().chain(&refill).map(|b| b[0] + b.len() as u64).sum();
    Outcome { sum, extra: fragmentation(live, rss), ..Outcome::default() }
}

/// Blocks of which one in ten survives, then each is replaced a hundred times over;
/// `collect` runs before that and before memory is looked at.
pub fn shrink<B: Deref<Target = [u64]>>(
    o: &Options,
    block: impl Fn(u64, usize) -> B,
    collect: impl Fn(),
) -> Outcome {
    let mut rng = Xorshift64(SEED);
    let mut blocks: Vec<B> = (0..o.size).map(|i| block(2 + rng.next() % 31, i)).collect();
    blocks.retain(|_| rng.next().is_multiple_of(10));
    blocks.shrink_to_fit();
    collect();
    let n = blocks.len();
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
