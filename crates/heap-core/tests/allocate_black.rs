//! M4: what is made while an incremental mark phase is under way counts as marked, however it was made,
//! and nothing else does.

#![cfg(not(heap_loom))]
#![allow(unsafe_code, reason = "plays the part of the collector")]

mod support;

use std::ptr::NonNull;

use heap_core::kind::{NOSCAN, ObjectKind};
use heap_core::mcache::Cache;
use heap_core::mheap::MHeap;
use heap_core::os::SystemOs;
use heap_core::partition::Partition;
use heap_core::size_class::SizeClass;
use heap_core::stats::SweepBy;
use support::{
    KINDS, before_mark, cache_at, config, large, location, mark, refill, slot, start_sweep,
    verify_at_rest,
};

/// Free slots of the test end up among these: spans of one page and of several.
const SIZES: [usize; 4] = [16, 48, 1024, 9472];

fn is_marked(object: NonNull<u8>) -> bool {
    !location(object).mark().is_white()
}

/// A kind whose objects have no destructor, so that a test need not write to them.
fn kind(i: usize) -> &'static ObjectKind {
    if i.is_multiple_of(2) { &NOSCAN } else { KINDS[1] }
}

fn alloc(heap: &MHeap, cache: &mut Cache, count: usize) -> Vec<(NonNull<u8>, usize)> {
    let mut made = Vec::new();
    for i in 0..count {
        for bytes in SIZES {
            let class = SizeClass::for_size(bytes).expect("a small size");
            let made_fast = slot(cache, kind(i), class);
            let slot =
                made_fast.unwrap_or_else(|| refill(heap, cache, kind(i), class).expect("memory"));
            made.push((slot, class.object_size()));
        }
    }
    made
}

#[test]
fn what_is_made_during_a_marking_is_marked_and_nothing_else() {
    let heap = MHeap::new(config(), Box::new(SystemOs));
    let mut cache = cache_at(Partition::default());
    // Spans that are full, partly filled, with holes.
    let mut old = alloc(&heap, &mut cache, 700);
    cache.flush(&heap);
    before_mark(&heap);
    old.retain(|(object, _)| object.addr().get() >> 4 & 2 == 0);
    old.iter().for_each(|(object, _)| mark(*object));
    start_sweep(&heap);
    heap.sweep_rest(SweepBy::Collector);

    // A mark phase that mutators interrupt.
    before_mark(&heap);
    // SAFETY: one thread, and the cache is empty.
    unsafe { heap.begin_allocate_black() };
    let mut new = alloc(&heap, &mut cache, 500);
    let one = large(&heap, KINDS[1], 100_000).expect("memory");
    new.push((one, 106_496));
    // One was found by the mark phase before, and is still to be traced.
    location(new[0].0).mark().mark_grey();
    cache.flush(&heap);
    assert!(new.iter().all(|(object, _)| is_marked(*object)), "M4");
    assert!(!old.iter().any(|(object, _)| is_marked(*object)), "no old one is");
    let bytes = new[1..].iter().map(|(_, bytes)| bytes).sum::<usize>();
    // SAFETY: one thread, and the cache is flushed.
    let took = unsafe { heap.end_allocate_black() };
    assert_eq!(took, (new.len() - 1, bytes), "without the grey one");

    // The old ones were not reached.
    mark(new[0].0);
    start_sweep(&heap);
    heap.sweep_rest(SweepBy::Collector);
    verify_at_rest(&heap);
    let counted = heap.counted();
    assert_eq!(counted.allocated_objects - counted.freed_objects, new.len() as u64);

    // Afterwards nothing is marked by being made.
    let later = alloc(&heap, &mut cache, 50);
    cache.flush(&heap);
    assert!(!later.iter().any(|(object, _)| is_marked(*object)));
    // SAFETY: as above.
    assert_eq!(unsafe { heap.end_allocate_black() }, (0, 0));
}
