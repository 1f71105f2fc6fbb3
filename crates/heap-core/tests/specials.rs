//! Specials: storage, races with the sweeper, and the order in which they are
//! queued.

#![cfg(not(heap_loom))]

mod support;

use std::collections::BTreeMap;
use std::ptr::NonNull;

use heap_core::geometry::ARENA_SIZE;
use heap_core::specials::{AddError, SpecialKind};
use proptest::prelude::*;
use support::Toy;

const KINDS: [SpecialKind; 3] =
    [SpecialKind::WeakHandle, SpecialKind::Finalizer, SpecialKind::Sample];

#[test]
fn an_object_has_one_special_of_each_kind() {
    let mut toy = Toy::plain();
    for bytes in [16, 24, 1000, 100_000, ARENA_SIZE] {
        let object = toy.alloc(0, 1, bytes).expect("memory");
        let neighbour = toy.alloc(0, 1, bytes).expect("memory");
        for (i, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(toy.special(object, kind), None);
            assert_eq!(toy.add_special(object, kind, i), Ok(()));
            assert_eq!(toy.add_special(object, kind, 7), Err(AddError::Exists(i)));
            assert_eq!(toy.special(object, kind), Some(i));
            assert_eq!(toy.special(neighbour, kind), None);
        }
        toy.verify();
        assert_eq!(toy.remove_special(object, KINDS[1]), Some(1));
        assert_eq!(toy.remove_special(object, KINDS[1]), None);
        assert_eq!(toy.special(object, KINDS[2]), Some(2));
    }
}

#[test]
fn weak_handles_go_first_and_a_finalizer_keeps_its_object_once() {
    let mut toy = Toy::plain();
    let object = toy.alloc(0, 2, 64).expect("memory");
    let plain = toy.alloc(0, 2, 64).expect("memory");
    for (i, kind) in KINDS.into_iter().enumerate().rev() {
        toy.add_special(object, kind, i).expect("memory");
    }
    toy.add_special(plain, SpecialKind::Sample, 9).expect("memory");
    toy.add_special(plain, SpecialKind::WeakHandle, 8).expect("memory");
    let (_, known) = toy.live[&object.addr().get()];
    toy.collect_fully();
    assert!(toy.heap.take_fired().is_empty(), "nothing has died");

    toy.kill_every(1);
    // The finalizer keeps its object: it must not be dropped now.
    toy.collect();
    toy.resurrect(object, known);
    toy.sweep_all();
    let fired: Vec<_> = toy.heap.take_fired().iter().map(|s| (s.object, s.data)).collect();
    assert_eq!(fired, [(object, 0), (object, 1), (plain, 8), (plain, 9)], "SP2");
    assert_eq!(toy.special(object, SpecialKind::Sample), Some(2), "SP3");
    toy.check_contents();
    toy.verify_flushed();

    toy.kill(object.addr().get());
    toy.collect_fully();
    let fired: Vec<_> = toy.heap.take_fired().iter().map(|s| s.data).collect();
    assert_eq!(fired, [2], "SP3: the second death is the last");
    assert!(toy.specials().is_empty());
    toy.finish();
}

#[derive(Clone, Debug)]
enum Op {
    Alloc(usize),
    Add(prop::sample::Index, usize),
    Remove(prop::sample::Index, usize),
    Kill(prop::sample::Index),
    Collect,
    Sweep(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => prop_oneof![16..64_usize, 16..2000_usize, 30_000..80_000_usize].prop_map(Op::Alloc),
        8 => (index(), 0..3_usize).prop_map(|(which, kind)| Op::Add(which, kind)),
        3 => (index(), 0..3_usize).prop_map(|(which, kind)| Op::Remove(which, kind)),
        3 => index().prop_map(Op::Kill),
        1 => Just(Op::Collect),
        2 => (1..5_usize).prop_map(Op::Sweep),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// What is queued is what the dead had, each once, and in order; what the
    /// living have stays.
    #[test]
    fn any_program_fires_the_specials_of_the_dead(ops in prop::collection::vec(op(), 1..80)) {
        let mut toy = Toy::plain();
        // By object and kind: the living, and those dead and not yet queued.
        let mut known = BTreeMap::<(usize, SpecialKind), usize>::new();
        let mut dead = BTreeMap::<usize, (usize, SpecialKind, usize)>::new();
        // Kept by a finalizer: dead, but not garbage until the next mark phase.
        let mut next = 1;
        for op in ops {
            let pick = |which: &prop::sample::Index| -> Option<NonNull<u8>> {
                let objects: Vec<_> = toy.live.values().map(|(object, _)| *object).collect();
                (!objects.is_empty()).then(|| *which.get(&objects))
            };
            match op {
                Op::Alloc(bytes) => drop(toy.alloc(0, 1, bytes).expect("memory")),
                Op::Add(which, kind) => if let Some(object) = pick(&which) {
                    let key = (object.addr().get(), KINDS[kind]);
                    let expected = match known.get(&key) {
                        Some(data) => Err(AddError::Exists(*data)),
                        None => Ok(()),
                    };
                    // Finalizers keep their objects; the other test is about those.
                    if KINDS[kind] != SpecialKind::Finalizer {
                        prop_assert_eq!(toy.add_special(object, KINDS[kind], next), expected);
                        known.entry(key).or_insert(next);
                        next += 1;
                    }
                },
                Op::Remove(which, kind) => if let Some(object) = pick(&which) {
                    let expected = known.remove(&(object.addr().get(), KINDS[kind]));
                    prop_assert_eq!(toy.remove_special(object, KINDS[kind]), expected);
                },
                Op::Kill(which) => if let Some(object) = pick(&which) {
                    let address = object.addr().get();
                    toy.kill(address);
                    for kind in KINDS {
                        if let Some(data) = known.remove(&(address, kind)) {
                            dead.insert(data, (address, kind, data));
                        }
                    }
                },
                Op::Collect => toy.collect(),
                Op::Sweep(spans) => toy.sweep(spans),
            }
            toy.verify();
            let fired = toy.heap.take_fired();
            for pair in fired.windows(2) {
                prop_assert!(pair[0].object != pair[1].object || pair[0].kind < pair[1].kind);
            }
            for special in fired {
                let expected = dead.remove(&special.data);
                let found = (special.object.addr().get(), special.kind, special.data);
                prop_assert_eq!(Some(found), expected, "SP2");
            }
        }
        toy.collect_fully();
        for special in toy.heap.take_fired() {
            prop_assert!(dead.remove(&special.data).is_some(), "SP2");
        }
        prop_assert!(dead.is_empty(), "SP2: not queued: {:?}", dead);
        let mut left = toy.specials();
        left.sort_by_key(|special| (special.object, special.kind));
        let left: Vec<_> =
            left.iter().map(|s| ((s.object.addr().get(), s.kind), s.data)).collect();
        prop_assert_eq!(left, known.into_iter().collect::<Vec<_>>());
        toy.finish();
    }
}

/// Threads add and remove specials of living objects while others sweep.
#[test]
fn specials_change_while_their_spans_are_swept() {
    let mut toy = Toy::plain();
    for round in 0..20 {
        for _ in 0..2000 {
            toy.alloc(0, 1, 48).expect("memory");
        }
        let doomed: Vec<usize> = toy.live.keys().copied().step_by(2).collect();
        for (i, address) in doomed.iter().enumerate() {
            let (object, _) = toy.live[address];
            if i % 3 == 0 {
                toy.add_special(object, SpecialKind::WeakHandle, *address).expect("memory");
            }
        }
        let expected = doomed.len().div_ceil(3);
        doomed.iter().for_each(|address| toy.kill(*address));
        toy.collect();
        let living: Vec<usize> = toy.live.keys().copied().collect();
        let heap = Shared(&toy);
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for part in living.chunks(living.len().div_ceil(2)) {
                let heap = &heap;
                threads.push(scope.spawn(move || {
                    for address in part {
                        let (object, _) = heap.toy().live[address];
                        let add = || heap.toy().add_special(object, SpecialKind::Sample, *address);
                        add().expect("memory");
                        assert_eq!(add(), Err(AddError::Exists(*address)));
                        let removed = heap.toy().remove_special(object, SpecialKind::Sample);
                        assert_eq!(removed, Some(*address));
                    }
                }));
            }
            threads.push(scope.spawn(|| heap.sweep()));
            // By hand: ThreadSanitizer sees a join, but not the end of a scope.
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        let fired = toy.heap.take_fired();
        assert_eq!(fired.len(), expected, "round {round}");
        assert!(fired.iter().all(|special| special.data == special.object.addr().get()));
        assert!(toy.specials().is_empty());
        toy.sweep_all();
        toy.verify_flushed();
        toy.kill_every(2);
    }
}

/// Lets threads use the parts of the toy that are made for it.
struct Shared<'t>(&'t Toy);

#[allow(unsafe_code, reason = "shares the toy's heap between threads")]
// SAFETY: the threads read the shadow, and use the heap through its own locks.
unsafe impl Sync for Shared<'_> {}

impl Shared<'_> {
    fn toy(&self) -> &Toy {
        self.0
    }

    fn sweep(&self) {
        self.0.heap.sweep_rest(heap_core::stats::SweepBy::Background);
    }
}
