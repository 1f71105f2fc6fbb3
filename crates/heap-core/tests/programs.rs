//! Programs of operations against a shadow model: mutators come and go, allocate
//! objects of any size and kind, attach specials to them and let them die; memory is
//! swept, scavenged and given back. Every invariant is checked after every step. The
//! same with a limit, and with a system that refuses now and then.
//!
//! `PROPTEST_CASES=10000 cargo test --release -p heap-core --test programs` is the long
//! version. A failure prints its program and is kept as a regression seed, which is
//! replayed first from then on.

#![cfg(not(heap_loom))]

mod support;

use std::collections::BTreeMap;

use heap_core::error::OutOfMemory;
use heap_core::geometry::ARENA_SIZE;
use heap_core::mheap::{CoreConfig, HugePages};
use heap_core::os::{Failure, Os, SimOs};
use heap_core::specials::{AddError, SpecialKind};
use proptest::prelude::*;
use proptest::sample::Index;
use support::{MIN_BYTES, Toy, config};

/// Mutators at first, and at most.
const MUTATORS: usize = 3;
const MOST_MUTATORS: usize = 6;
const SPECIALS: [SpecialKind; 3] =
    [SpecialKind::WeakHandle, SpecialKind::Finalizer, SpecialKind::Sample];
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
    AddSpecial(Index, usize),
    RemoveSpecial(Index, usize),
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
        4 => (any::<Index>(), 0..3_usize).prop_map(|(which, kind)| Op::AddSpecial(which, kind)),
        1 => (any::<Index>(), 0..3_usize).prop_map(|(which, kind)| Op::RemoveSpecial(which, kind)),
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

/// The toy, and a shadow of the specials of its objects.
struct World {
    toy: Toy,
    os: SimOs,
    /// Of the living, by object and kind.
    known: BTreeMap<(usize, SpecialKind), usize>,
    /// Of objects that have died since the last marking.
    dying: BTreeMap<usize, Vec<(SpecialKind, usize)>>,
    /// What the sweep that is under way will queue, by data.
    due: BTreeMap<usize, (usize, SpecialKind)>,
    next: usize,
}

impl World {
    fn new(config: CoreConfig) -> World {
        let os = SimOs::new();
        let toy = Toy::new(config, Box::new(os.clone()), MUTATORS);
        let (known, dying, due) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        World { toy, os, known, dying, due, next: 1 }
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
            Op::Kill(n) => self.kill_every(*n),
            Op::Flush(mutator) => toy.flush(mutator % toy.mutators()),
            Op::Attach if toy.mutators() < MOST_MUTATORS => toy.attach(),
            Op::Detach(mutator) if toy.mutators() > 1 => toy.detach(mutator % toy.mutators()),
            Op::Attach | Op::Detach(_) => {}
            Op::AddSpecial(which, kind) => self.add_special(which, SPECIALS[*kind]),
            Op::RemoveSpecial(which, kind) => self.remove_special(which, SPECIALS[*kind]),
            Op::Collect => self.collect(),
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

    fn kill_every(&mut self, n: usize) {
        let doomed: Vec<usize> = self.toy.live.keys().copied().step_by(n).collect();
        for address in doomed {
            self.toy.kill(address);
            for kind in SPECIALS {
                if let Some(data) = self.known.remove(&(address, kind)) {
                    self.dying.entry(address).or_default().push((kind, data));
                }
            }
        }
    }

    fn collect(&mut self) {
        self.toy.collect();
        self.check_fired();
        assert!(self.due.is_empty(), "SP2: swept, and not queued: {:?}", self.due);
        for (address, specials) in std::mem::take(&mut self.dying) {
            // SP3: what comes after a finalizer stays with the object.
            let finalizer = specials.iter().position(|(kind, _)| *kind == SpecialKind::Finalizer);
            let (now, later) = specials.split_at(finalizer.map_or(specials.len(), |at| at + 1));
            self.due.extend(now.iter().map(|(kind, data)| (*data, (address, *kind))));
            if !later.is_empty() {
                self.dying.insert(address, later.to_vec());
            }
        }
    }

    fn sweep_all(&mut self) {
        self.toy.sweep_all();
        self.check_fired();
        assert!(self.due.is_empty(), "SP2: swept, and not queued: {:?}", self.due);
    }

    /// What was queued was due, and the specials of one object are in order.
    fn check_fired(&mut self) {
        let fired = self.toy.heap.take_fired();
        for pair in fired.windows(2) {
            assert!(pair[0].object != pair[1].object || pair[0].kind < pair[1].kind, "SP2");
        }
        for special in fired {
            let expected = self.due.remove(&special.data);
            assert_eq!(expected, Some((special.object.addr().get(), special.kind)), "SP2");
        }
    }

    fn add_special(&mut self, which: &Index, kind: SpecialKind) {
        if self.toy.live.is_empty() {
            return;
        }
        let (address, (object, _)) =
            self.toy.live.iter().nth(which.index(self.toy.live.len())).expect("in range");
        let expected = match self.known.get(&(*address, kind)) {
            Some(data) => Err(AddError::Exists(*data)),
            None => Ok(()),
        };
        assert_eq!(self.toy.add_special(*object, kind, self.next), expected);
        if expected.is_ok() {
            self.known.insert((*address, kind), self.next);
            if kind == SpecialKind::Finalizer {
                let address = *address;
                self.toy.finalizers.insert(address);
            }
            self.next += 1;
        }
    }

    fn remove_special(&mut self, which: &Index, kind: SpecialKind) {
        // Of an object that has one, if there is any.
        let of_kind: Vec<_> = self.known.keys().filter(|key| key.1 == kind).copied().collect();
        if of_kind.is_empty() {
            return;
        }
        let key = *which.get(&of_kind);
        let (object, _) = self.toy.live[&key.0];
        assert_eq!(self.toy.remove_special(object, kind), self.known.remove(&key));
        assert_eq!(self.toy.remove_special(object, kind), None);
        if kind == SpecialKind::Finalizer {
            self.toy.finalizers.remove(&key.0);
        }
    }

    /// Every invariant, and the heap's specials are those of the living and of those
    /// that are not swept yet.
    fn verify(&mut self) {
        self.toy.verify();
        self.check_fired();
        let mut found: Vec<usize> = self.toy.specials().iter().map(|s| s.data).collect();
        found.sort_unstable();
        let mut expected: Vec<usize> = self.known.values().copied().collect();
        expected.extend(self.due.keys());
        expected.extend(self.dying.values().flatten().map(|(_, data)| *data));
        expected.sort_unstable();
        assert_eq!(found, expected, "SP1");
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
    world.collect();
    world.sweep_all();
    world.toy.verify_flushed();
    world.toy.check_contents();
    world.kill_every(1);
    // Twice: finalizers keep their objects once.
    for _ in 0..2 {
        world.collect();
        world.sweep_all();
    }
    assert!(world.toy.specials().is_empty());
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
