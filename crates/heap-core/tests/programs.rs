//! Programs of operations against a shadow model, with every invariant checked
//! after every step; the same with a system that refuses now and then.
//!
//! `PROPTEST_CASES=10000 cargo test -p heap-core --test programs` is the long
//! version. A failure prints its program and is kept as a regression seed.

#![cfg(not(heap_loom))]

mod support;

use heap_core::error::OutOfMemory;
use heap_core::geometry::ARENA_SIZE;
use heap_core::mheap::CoreConfig;
use heap_core::os::{Failure, SimOs};
use proptest::prelude::*;
use support::{MIN_BYTES, Toy, config};

const MUTATORS: usize = 3;
const MIB: usize = 1 << 20;

#[derive(Clone, Debug)]
enum Op {
    /// Allocates objects of one kind and size.
    Alloc {
        mutator: usize,
        kind: usize,
        bytes: usize,
        count: usize,
    },
    /// Makes one in so many unreachable.
    Kill(usize),
    Flush(usize),
    Collect,
    Sweep(usize),
    Scavenge(usize),
    Trim,
    Release,
    Find(Vec<u64>),
    VerifyFlushed,
    /// Only in programs with faults.
    Fail(u32),
}

fn bytes() -> impl Strategy<Value = (usize, usize)> {
    prop_oneof![
        8 => (MIN_BYTES..512, 1..300_usize),
        4 => (512..8192_usize, 1..60_usize),
        3 => (8192..33_000_usize, 1..12_usize),
        2 => (33_000..2 * MIB, 1..4_usize),
        1 => (MIB..70 * MIB, 1..2_usize),
        1 => (ARENA_SIZE - 5 * MIB..3 * ARENA_SIZE, 1..2_usize),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (0..MUTATORS, 0..4_usize, bytes()).prop_map(|(mutator, kind, (bytes, count))| {
            Op::Alloc { mutator, kind, bytes, count }
        }),
        4 => (1..6_usize).prop_map(Op::Kill),
        1 => (0..MUTATORS).prop_map(Op::Flush),
        3 => Just(Op::Collect),
        3 => (1..40_usize).prop_map(Op::Sweep),
        1 => (0..64 * MIB).prop_map(Op::Scavenge),
        1 => (0..MIB).prop_map(Op::Scavenge),
        1 => Just(Op::Trim),
        1 => Just(Op::Release),
        2 => prop::collection::vec(any::<u64>(), 1..20).prop_map(Op::Find),
        1 => Just(Op::VerifyFlushed),
    ]
}

fn ops(faults: bool) -> impl Strategy<Value = Vec<Op>> {
    let fault = prop_oneof![Just(0_u32), Just(100), Just(500), Just(1000)].prop_map(Op::Fail);
    let one = if faults { prop_oneof![6 => op(), 1 => fault].boxed() } else { op().boxed() };
    prop::collection::vec(one, 1..40)
}

fn step(toy: &mut Toy, op: &Op, os: &SimOs, may_fail: impl Fn(OutOfMemory) -> bool) {
    match op {
        Op::Alloc { mutator, kind, bytes, count } => {
            for _ in 0..*count {
                if let Err(reason) = toy.alloc(*mutator, *kind, *bytes) {
                    assert!(may_fail(reason), "{reason} for {bytes} bytes");
                    break;
                }
            }
        }
        Op::Kill(n) => toy.kill_every(*n),
        Op::Flush(mutator) => toy.flush(*mutator),
        Op::Collect => toy.collect(),
        Op::Sweep(spans) => toy.sweep(*spans),
        Op::Scavenge(retain) => drop(toy.heap.scavenge(*retain)),
        Op::Trim => drop(toy.heap.trim(usize::MAX)),
        Op::Release => {
            toy.heap.release_idle();
            if os.failed() == 0 {
                assert_eq!(toy.heap.memory().idle, 0);
            }
        }
        Op::Find(seeds) => find(toy, seeds),
        Op::VerifyFlushed => toy.verify_flushed(),
        Op::Fail(per_mille) => {
            os.set_failure(Failure::Share { seed: u64::from(*per_mille), per_mille: *per_mille });
        }
    }
}

/// Addresses near objects, and anywhere.
fn find(toy: &mut Toy, seeds: &[u64]) {
    let known: Vec<_> = toy.live.iter().map(|(base, (_, object))| (*base, object.bytes)).collect();
    for &seed in seeds {
        toy.check_find(seed as usize);
        if known.is_empty() {
            continue;
        }
        let (base, bytes) = known[seed as usize % known.len()];
        let inside = (seed >> 20) as usize % bytes;
        for address in [
            base,
            base + inside,
            base + bytes - 1,
            base + bytes,
            base - 1,
            base & !(ARENA_SIZE - 1),
            (base & !(ARENA_SIZE - 1)) + inside % ARENA_SIZE,
            base.wrapping_add(1 << 40),
        ] {
            toy.check_find(address);
        }
    }
}

fn run(ops: &[Op], config: CoreConfig, may_fail: impl Fn(OutOfMemory) -> bool + Copy) {
    let os = SimOs::new();
    let mut toy = Toy::new(config, Box::new(os.clone()), MUTATORS);
    for op in ops {
        step(&mut toy, op, &os, may_fail);
        toy.verify();
        assert_eq!(os.reserved(), toy.heap.memory().mapped);
    }
    toy.check_contents();
    // Memory has returned, if it was away: the heap goes on as if nothing was.
    os.set_failure(Failure::Never);
    if toy.heap.max_bytes().is_none() {
        for kind in 0..4 {
            toy.alloc(0, kind, 40).expect("memory");
        }
    }
    toy.collect_fully();
    toy.verify_flushed();
    toy.check_contents();
    toy.kill_every(1);
    toy.collect_fully();
    toy.heap.release_idle();
    toy.verify_flushed();
    assert_eq!(os.reserved(), 0, "an empty heap holds no address space");
    toy.finish();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_program_keeps_the_heap_sound(
        ops in ops(false),
        poison in any::<bool>(),
        huge_pages in any::<bool>(),
    ) {
        let config = CoreConfig { poison, huge_pages, ..config() };
        run(&ops, config, |_| false);
    }

    #[test]
    fn any_program_keeps_a_limited_heap_sound(ops in ops(false), limit in 0..4 * MIB) {
        let config = CoreConfig { max_bytes: Some(limit), ..config() };
        run(&ops, config, |reason| reason == OutOfMemory::Limit);
    }

    #[test]
    fn any_program_keeps_the_heap_sound_on_a_failing_system(ops in ops(true)) {
        run(&ops, config(), |reason| reason == OutOfMemory::System);
    }

}

/// Where the system is only offered memory, it may still read as before.
#[test]
fn offered_pages_are_not_trusted_to_be_zero() {
    let os = SimOs::new();
    os.set_offers(true);
    let mut toy = Toy::new(config(), Box::new(os.clone()), 1);
    for bytes in [2048, 8192, 30_000, 100_000] {
        for _ in 0..30 {
            toy.alloc(0, 0, bytes).expect("memory");
        }
        toy.kill_every(1);
        // Something lives, or the arena would be unmapped.
        toy.alloc(0, 0, 16).expect("memory");
        toy.collect_fully();
        assert!(toy.heap.release_idle() > 0);
        // Every third object is zeroed, and looked at.
        for _ in 0..30 {
            toy.alloc(0, 0, bytes).expect("memory");
        }
        toy.verify();
    }
    toy.finish();
}
