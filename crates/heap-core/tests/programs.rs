//! Programs of operations against a shadow model: mutators come and go, allocate
//! objects of any size and kind, attach weak handles to them and let them die; memory is
//! swept, scavenged and given back. Every invariant is checked after every step. The
//! same with a limit, and with a system that refuses now and then.
//!
//! `PROPTEST_CASES=10000 cargo test --release -p heap-core --test programs` is the long
//! version. A failure prints its program and is kept as a regression seed, which is
//! replayed first from then on.

#![cfg(not(heap_loom))]

mod support;

use heap_core::error::OutOfMemory;
use heap_core::geometry::ARENA_SIZE;
use heap_core::mheap::{CoreConfig, HugePages};
use heap_core::os::{Failure, Os, SimOs};
use proptest::prelude::*;
use proptest::sample::Index;
use support::{MIN_BYTES, Toy, config};

/// Mutators at first, and at most.
const MUTATORS: usize = 3;
const MOST_MUTATORS: usize = 6;
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
    Attach,
    Detach(usize),
    AddWeak(Index),
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
        12 => (0..MOST_MUTATORS, 0..4_usize, bytes()).prop_map(|(mutator, kind, (bytes, count))| {
            Op::Alloc { mutator, kind, bytes, count }
        }),
        4 => (1..6_usize).prop_map(Op::Kill),
        1 => (0..MOST_MUTATORS).prop_map(Op::Flush),
        1 => Just(Op::Attach),
        1 => (0..MOST_MUTATORS).prop_map(Op::Detach),
        5 => any::<Index>().prop_map(Op::AddWeak),
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

/// The toy, and its system.
struct World {
    toy: Toy,
    os: SimOs,
}

impl World {
    fn new(config: CoreConfig) -> World {
        let os = SimOs::new();
        let toy = Toy::new(config, Box::new(os.clone()), MUTATORS);
        World { toy, os }
    }

    fn step(&mut self, op: &Op, may_fail: impl Fn(OutOfMemory) -> bool) {
        let toy = &mut self.toy;
        match op {
            Op::Alloc { mutator, kind, bytes, count } => {
                for _ in 0..*count {
                    let mutator = mutator % toy.mutators();
                    if let Err(reason) = toy.alloc(mutator, *kind, *bytes) {
                        assert!(may_fail(reason), "{reason} for {bytes} bytes");
                        break;
                    }
                }
            }
            Op::Kill(n) => toy.kill_every(*n),
            Op::Flush(mutator) => toy.flush(mutator % toy.mutators()),
            Op::Attach if toy.mutators() < MOST_MUTATORS => toy.attach(),
            Op::Detach(mutator) if toy.mutators() > 1 => toy.detach(mutator % toy.mutators()),
            Op::Attach | Op::Detach(_) => {}
            Op::AddWeak(_) if toy.live.is_empty() => {}
            Op::AddWeak(which) => {
                let objects: Vec<_> = toy.live.values().map(|(object, _)| *object).collect();
                if let Err(reason) = toy.add_weak(*which.get(&objects)) {
                    assert!(may_fail(reason), "{reason} for a weak cell");
                }
            }
            Op::Collect => toy.collect(),
            Op::Sweep(spans) => toy.sweep(*spans),
            Op::Scavenge(retain) => drop(toy.heap.scavenge(*retain)),
            Op::Trim => drop(toy.heap.trim(usize::MAX)),
            Op::Release => {
                toy.heap.release_idle();
                // Windows takes back whole arenas only, and others no less than a page of theirs.
                let takes_any_page = cfg!(not(windows)) && self.os.decommit_pages() == 1;
                if takes_any_page && self.os.failed() == 0 {
                    assert_eq!(toy.heap.memory().idle, 0);
                }
            }
            Op::Find(seeds) => find(toy, seeds),
            Op::VerifyFlushed => toy.verify_flushed(),
            Op::Fail(per_mille) => {
                let seed = u64::from(*per_mille);
                self.os.set_failure(Failure::Random { seed, per_mille: *per_mille });
            }
        }
    }

    /// Every invariant, and the weak handles are those of the living and of those that were not
    /// found dead yet.
    fn verify(&mut self) {
        self.toy.verify();
        self.toy.check_weak();
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
            base.wrapping_add(1 << (usize::BITS * 5 / 8)),
        ] {
            toy.check_find(address);
        }
    }
}

fn run(ops: &[Op], config: CoreConfig, may_fail: impl Fn(OutOfMemory) -> bool + Copy) {
    let mut world = World::new(config);
    for op in ops {
        world.step(op, may_fail);
        world.verify();
        assert_eq!(world.os.reserved(), world.toy.heap.memory().mapped);
    }
    world.toy.check_contents();
    // Memory has returned, if it was away: the heap goes on as if nothing was.
    world.os.set_failure(Failure::Never);
    if world.toy.heap.max_bytes().is_none() {
        for kind in 0..4 {
            world.toy.alloc(0, kind, 40).expect("memory");
        }
    }
    world.toy.collect_fully();
    world.toy.verify_flushed();
    world.toy.check_contents();
    world.toy.kill_every(1);
    world.toy.collect_fully();
    world.toy.check_weak();
    // Cells live as long as their targets, so these have gone in the same collection.
    world.toy.heap.release_idle();
    world.toy.verify_flushed();
    assert_eq!(world.os.reserved(), 0, "an empty heap holds no address space");
    world.toy.finish();
}

const HUGE_PAGES: [HugePages; 3] =
    [HugePages::Never, HugePages::Objects, HugePages::ObjectsAndMarks];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: match std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()) {
            Some(cases) => cases,
            None if cfg!(debug_assertions) => 128,
            None => 1000,
        },
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_program_keeps_the_heap_sound(
        ops in ops(false),
        poison in any::<bool>(),
        huge_pages in prop::sample::select(HUGE_PAGES.as_slice()),
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
        // Enough for two of the system's largest pages: one lies wholly within.
        for _ in 0..100 {
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
