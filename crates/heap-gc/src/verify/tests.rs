//! Breaks the collector's invariants one by one, and sees the verifier name the one
//! that was broken. Those of the memory layer are broken in `heap-core`.

use std::ptr::NonNull;
use std::sync::Arc;

use heap_core::kind::NOSCAN;
use heap_core::size_class::SizeClass;
use heap_core::weak_handles::WeakCell;
use heap_sync::atomic::Ordering;

use crate::error::VerifyError;
use crate::{Frames, GcConfig, HeapState, Mutator, RootEntry};

/// A heap with a mutator inside, an object that lives, and one that has died.
struct Sample {
    shared: Arc<HeapState>,
    mutator: Mutator,
    live: RootEntry,
    dead: NonNull<u8>,
}

impl Sample {
    fn new() -> Sample {
        let sample_bytes = std::num::NonZero::new(1);
        let config = GcConfig { huge_pages: false, sample_bytes, ..GcConfig::default() };
        let shared = HeapState::new(config);
        let mut mutator = Mutator::attach(&shared);
        let class = SizeClass::for_size(64).expect("a small object");
        // SAFETY: nothing reads the objects.
        let alloc = || unsafe { mutator.alloc_small(&NOSCAN, class) }.expect("memory");
        let (live, dead) = (alloc(), alloc());
        // SAFETY: allocated just now.
        let live = unsafe { mutator.try_root(live) }.unwrap();
        mutator.collect();
        mutator.verify().expect("sound before the damage");
        Sample { shared, mutator, live, dead }
    }
}

#[track_caller]
fn broken<R>(invariant: &str, damage: impl FnOnce(&mut Sample) -> R) {
    let mut sample = Sample::new();
    let kept = damage(&mut sample);
    let found = sample.mutator.verify().expect_err("the damage is not seen");
    let VerifyError::Broken(found) = found else { panic!("{found}") };
    assert_eq!(found.invariant, invariant, "{found}");
    drop(kept);
}

#[test]
fn a_root_that_leads_to_no_object_is_seen() {
    // SAFETY: breaks the contract on purpose; no thread collects.
    let root = |s: &Sample, object| unsafe { s.mutator.try_root(object).unwrap() };
    broken("V1", |s| root(s, s.dead));
    // Into the middle of an object, and to where no heap is.
    // SAFETY: within the slot.
    broken("V1", |s| root(s, unsafe { s.live.object().add(8) }));
    broken("V1", |s| root(s, NonNull::from(&mut 0_u64).cast()));
    // SAFETY: as above.
    broken("V1", |s| _ = unsafe { s.mutator.try_shadow_push(s.dead) });
}

#[test]
fn a_weak_entry_of_a_dead_object_is_seen() {
    broken("I1", |s| {
        let mut table = s.shared.weak_table();
        // SAFETY: breaks the contract on purpose; no thread collects.
        unsafe { s.mutator.try_insert_weak(&mut table, 7, s.dead) }.unwrap();
        table
    });
}

#[test]
fn a_weak_cell_that_leads_elsewhere_is_seen() {
    broken("WH3", |s| {
        // SAFETY: a live object.
        let cell = unsafe { s.mutator.downgrade(s.live.object()) }.expect("memory");
        // SAFETY: breaks the contract on purpose; no thread collects.
        unsafe { cell.cast::<WeakCell>().write(WeakCell::new(s.dead)) };
    });
    // An object that is no cell.
    broken("WH3", |s| {
        let object = s.live.object();
        // SAFETY: as above.
        unsafe { s.shared.heap.add_weak_cell(object, object) }.expect("memory");
    });
}

#[test]
fn a_registered_object_that_is_dead_is_seen() {
    let register = |s: &Sample, object| {
        let registry = s.shared.finalizer_registry();
        // SAFETY: breaks the contract on purpose; no thread collects.
        unsafe { s.mutator.register_finalizer(&registry, object) }.unwrap();
        registry
    };
    broken("FI1", |s| register(s, s.dead));
    broken("FI1", |s| {
        let registry = register(s, s.dead);
        // It is marked if a collection is under way, and none is.
        s.mutator.enqueue_all_finalizers(&registry);
        registry
    });
}

#[test]
fn samples_that_are_not_those_of_the_objects_are_seen() {
    let record = |s: &Sample, slot, bytes| {
        let sampling = s.shared.sampling.as_ref().expect("it samples");
        // SAFETY: breaks the contract on purpose; no thread collects.
        unsafe { sampling.record(slot, &NOSCAN, bytes, &Frames::default(), false) };
    };
    // Of a slot that is free, of another size, and of one that has a record.
    broken("SM1", |s| record(s, s.dead, 64));
    broken("SM1", |s| record(s, s.live.object(), 48));
    broken("SM1", |s| record(s, s.live.object(), 64));
    // Of an object that has none.
    broken("SM1", |s| {
        let sampling = s.shared.sampling.as_ref().expect("it samples");
        sampling.forget_for_test(s.live.object());
    });
}

#[test]
fn an_estimate_that_is_too_low_is_seen() {
    broken("L1", |s| s.shared.budget.set_live_for_test(63));
}

#[test]
fn a_trigger_that_leaves_no_room_is_seen() {
    broken("PA1", |s| s.shared.budget.set_trigger_for_test(64));
}

/// What the memory layer finds is passed on.
#[test]
fn damage_below_is_seen() {
    broken("Y2", |s| s.shared.heap.stats.in_use_bytes.fetch_add(1, Ordering::Relaxed));
}
