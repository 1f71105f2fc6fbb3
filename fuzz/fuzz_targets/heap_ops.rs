//! Programs of heap operations against the model of the random-program tests
//! ([`heap_tests::programs`]), made of the fuzzer's bytes: what the coverage of
//! one program teaches, the next one uses.
//!
//! A few bytes make a step, so that a mutation of the bytes is a mutation of the
//! program. Every fourth input is made afresh, of random bytes: coverage is soon as
//! good as it gets, and then long programs find more than changed short ones.

#![no_main]

use std::time::Duration;

use heap_api::Config;
use heap_tests::programs::{ROOTS, Shape, Step, TEXTS, Verified, run};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

/// Longer programs find nothing that these do not, and are slow.
const MAX_STEPS: usize = 300;

fn config(bytes: &mut Unstructured<'_>) -> Result<Config> {
    let config = Config::new()
        .huge_pages(false)
        .stress(bytes.ratio(1, 4)?)
        .min_heap_bytes(bytes.int_in_range(0_usize..=255)? << 10);
    let config = match bytes.int_in_range(0_usize..=127)? {
        kib @ 1..64 => config.max_heap_bytes(kib << 14),
        _ => config,
    };
    // Slices end by the clock, which repeats nothing, but for those of no length.
    let config = if bytes.ratio(1, 2)? { config.mark_slice(Duration::ZERO) } else { config };
    // Threads make a run slow and not quite repeatable: now and then only.
    Ok(match bytes.int_in_range(0..=31)? {
        30 => config.mark_threads(1),
        31 => config.background_sweep(true),
        _ => config,
    })
}

fn shape(bytes: &mut Unstructured<'_>) -> Result<Shape> {
    Ok(match bytes.int_in_range(0..=21)? {
        20 => Shape::Small,
        21 => Shape::Flat,
        0..=1 => Shape::Number,
        2..=3 => Shape::Text,
        4..=6 => Shape::Pair,
        7..=8 => Shape::Triple,
        9..=10 => Shape::Dropping(bytes.int_in_range(0..=5)?),
        11..=12 => Shape::Wide,
        13..=15 => Shape::Array(bytes.int_in_range(0..=79)?),
        // Large objects, and some that are traced in pieces.
        16 => Shape::Array(1400 + bytes.int_in_range(0..=255)? * 30),
        17..=18 => Shape::Bag(bytes.int_in_range(0..=19)?),
        _ => Shape::Atomic,
    })
}

/// Large arrays have more edges than a byte can tell.
fn edge(bytes: &mut Unstructured<'_>) -> Result<usize> {
    Ok(bytes.arbitrary::<u16>()?.into())
}

fn step(bytes: &mut Unstructured<'_>) -> Result<Step> {
    let kind = bytes.int_in_range(0..=35)?;
    let mut root = || bytes.int_in_range(0..=ROOTS - 1);
    Ok(match kind {
        0..=6 => {
            let root = root()?;
            Step::New { shape: shape(bytes)?, root }
        }
        7..=15 => {
            let (from, to) = (root()?, root()?);
            Step::Link { from, edge: edge(bytes)?, to }
        }
        16 => {
            let from = root()?;
            Step::Unlink { from, edge: edge(bytes)? }
        }
        17..=20 => {
            let (from, root) = (root()?, root()?);
            Step::Follow { from, edge: edge(bytes)?, root }
        }
        21..=22 => Step::Clear { root: root()? },
        23..=24 => {
            let root = root()?;
            Step::Intern { text: bytes.int_in_range(0..=TEXTS - 1)?, root }
        }
        25 => Step::Garbage { count: 1 + bytes.int_in_range(0..=255)? },
        26..=27 => Step::Safepoint,
        28 => Step::Park,
        29 => Step::Release,
        30 => Step::Collect,
        32..=33 => Step::CollectStep,
        34..=35 => {
            let (from, root) = (root()?, root()?);
            Step::Take { from, edge: edge(bytes)?, root }
        }
        _ => Step::Verify,
    })
}

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Unstructured::new(bytes);
    let Ok(config) = config(&mut bytes) else { return };
    let mut program = Vec::new();
    while program.len() < MAX_STEPS
        && !bytes.is_empty()
        && let Ok(step) = step(&mut bytes)
    {
        program.push(step);
    }
    run(config, Verified::WhenTold, &program);
});

fuzz_mutator!(|bytes: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if seed % 4 != 0 {
        return fuzzer_mutate(bytes, size, max_size);
    }
    // SplitMix64.
    let mut state = u64::from(seed);
    let mut random = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let size = 1 + random() as usize % max_size;
    bytes[..size].fill_with(|| random() as u8);
    size
});
