//! Objects that share slots, as the memory layer sees them.
#![cfg(not(heap_loom))]
#![allow(unsafe_code, reason = "plays the part of the collector")]

mod support;

use std::collections::BTreeMap;
use std::ptr::NonNull;

use heap_core::kind::{ObjectKind, TINY, WEAK_CELL};
use heap_core::mcache::Cache;
use heap_core::mheap::{CoreConfig, HugePages, MHeap, WeakCounts};
use heap_core::os::SystemOs;
use heap_core::partition::Partition;
use heap_core::stats::SweepBy;
use heap_core::tiny::{TINY_CLASS, TinyLayout};
use heap_core::weak_handles::WeakCell;
use support::{before_mark, cache_at, mark, refill, slot, start_sweep, target, verify_at_rest};

fn heap() -> MHeap {
    let config = CoreConfig { max_bytes: None, huge_pages: HugePages::Never, poison: true };
    MHeap::new(config, Box::new(SystemOs))
}

fn slot_of(address: usize) -> usize {
    address / TINY_CLASS.object_size()
}

/// A slot of its own of sixteen bytes.
fn alloc_slot(heap: &MHeap, cache: &mut Cache, kind: &'static ObjectKind) -> NonNull<u8> {
    match slot(cache, kind, TINY_CLASS) {
        Some(slot) => slot,
        None => refill(heap, cache, kind, TINY_CLASS).expect("memory"),
    }
}

/// A tiny object, as the collector's slow path gets it.
fn alloc(heap: &MHeap, cache: &mut Cache, layout: TinyLayout) -> NonNull<u8> {
    if let Some(object) = cache.alloc_tiny(layout).or_else(|| cache.reopen_for_tiny(layout)) {
        return object;
    }
    let slot = alloc_slot(heap, cache, &TINY);
    // SAFETY: handed out just now.
    unsafe { cache.place_tiny(slot, layout) };
    slot
}

/// A collection that keeps `live`, all of it swept.
fn collect<'a>(heap: &MHeap, cache: &mut Cache, live: impl Iterator<Item = &'a NonNull<u8>>) {
    cache.flush(heap);
    heap.sweep_rest(SweepBy::Collector);
    before_mark(heap);
    live.for_each(|object| mark(*object));
    start_sweep(heap);
    heap.sweep_rest(SweepBy::Collector);
}

/// Allocated slots of the kinds of a name.
fn slots(heap: &MHeap, kind: &str) -> usize {
    // SAFETY: one thread, and the callers have flushed.
    unsafe { heap.class_histogram() }
        .iter()
        .filter(|row| row.kind == kind)
        .map(|row| row.objects)
        .sum()
}

#[test]
fn a_slot_that_was_begun_counts_as_a_whole() {
    for bytes in 1..16 {
        for count in [1, 2, 3, 4, 5, 15, 16, 17, 511, 512, 513, 2000] {
            let heap = heap();
            let mut cache = cache_at(Partition::default());
            let layout = TinyLayout::new(bytes, 1).expect("shares");
            let mut seen: Vec<usize> = (0..count)
                .map(|_| slot_of(alloc(&heap, &mut cache, layout).addr().get()))
                .collect();
            seen.dedup();
            cache.flush(&heap);
            verify_at_rest(&heap);
            assert_eq!(slots(&heap, "tiny"), seen.len(), "{count} of {bytes}");
            assert_eq!(heap.counted().allocated_bytes, 16 * seen.len() as u64);
        }
    }
}

/// One of these kinds has its window in the place of the tiny objects' window.
#[test]
fn a_slot_is_filled_also_when_its_window_was_put_aside() {
    let heap = heap();
    let mut cache = cache_at(Partition::default());
    let kinds: &'static [ObjectKind; 256] = Box::leak(Box::new(core::array::from_fn(|_| {
        let name = || "other";
        ObjectKind::plain(name)
    })));
    let layout = TinyLayout::new(4, 4).expect("shares");
    let first = alloc(&heap, &mut cache, layout);
    for (i, kind) in (1..).zip(kinds) {
        let other = alloc_slot(&heap, &mut cache, kind);
        assert_eq!(other.addr().get() % 16, 0);
        let next = alloc(&heap, &mut cache, layout);
        assert_eq!(next.addr().get(), first.addr().get() + 4 * i);
    }
    cache.flush(&heap);
    verify_at_rest(&heap);
    assert_eq!(slots(&heap, "tiny"), 257_usize.div_ceil(4));
    assert_eq!(slots(&heap, "other"), 256, "and the other window is left as it was");
}

#[test]
fn slots_stay_as_long_as_a_tiny_object_is_marked() {
    let heap = heap();
    let mut cache = cache_at(Partition::default());
    let mut live: BTreeMap<usize, (NonNull<u8>, u8)> = BTreeMap::new();
    let mut random = 0x9E37_79B9_u32;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        random as usize
    };
    for _ in 0..60 {
        for _ in 0..300 {
            let bytes = next() % 16;
            let object = alloc(&heap, &mut cache, TinyLayout::new(bytes, 1).expect("shares"));
            let tag = next() as u8;
            // SAFETY: just handed out, with that many bytes.
            unsafe { object.write_bytes(tag, bytes.min(1)) };
            if bytes > 0 && next() % 3 == 0 {
                assert!(live.insert(object.addr().get(), (object, tag)).is_none());
            }
        }
        live.retain(|_, _| next() % 5 != 0);
        collect(&heap, &mut cache, live.values().map(|(object, _)| object));
        verify_at_rest(&heap);
        let mut kept: Vec<usize> = live.keys().map(|address| slot_of(*address)).collect();
        kept.dedup();
        assert_eq!(slots(&heap, "tiny"), kept.len(), "and no longer");
        for (object, tag) in live.values() {
            // SAFETY: a live object.
            assert_eq!(unsafe { object.read() }, *tag);
        }
    }
}

#[test]
fn any_address_in_a_shared_slot_may_be_an_object() {
    let heap = heap();
    let mut cache = cache_at(Partition::default());
    let layout = TinyLayout::new(4, 4).expect("shares");
    let objects: Vec<NonNull<u8>> = (0..5).map(|_| alloc(&heap, &mut cache, layout)).collect();
    cache.flush(&heap);
    for object in &objects {
        let address = object.addr().get();
        // SAFETY: one thread.
        let (start, body) = unsafe { heap.find_object(address) }.expect("an object");
        assert_eq!(start.addr().get(), slot_of(address) * 16);
        assert!(body.may_start_at(address));
        assert!(body.kind.shares_slots());
    }
    let free = objects[4].addr().get() + 16;
    // SAFETY: one thread.
    let (_, body) = unsafe { heap.find_object(free - 16) }.expect("an object");
    assert!(!body.may_start_at(free), "nobody was there");
    // SAFETY: as above.
    assert!(unsafe { heap.find_object(free) }.is_none());
}

/// A weak handle to a tiny object leads to it as long as its slot lives.
#[test]
fn weak_handles_to_tiny_objects_are_cleared_with_the_slot() {
    let heap = heap();
    let mut cache = cache_at(Partition::default());
    let layout = TinyLayout::new(8, 8).expect("shares");
    let pair = [alloc(&heap, &mut cache, layout), alloc(&heap, &mut cache, layout)];
    assert_eq!(slot_of(pair[0].addr().get()), slot_of(pair[1].addr().get()));
    let cells = pair.map(|object| {
        let cell = refill(&heap, &mut cache, &WEAK_CELL, MHeap::weak_cell_class()).expect("memory");
        // SAFETY: just handed out.
        unsafe { cell.cast::<WeakCell>().write(WeakCell::new(object)) };
        // SAFETY: a live object, and its cell.
        unsafe { heap.add_weak_cell(object, cell) }.expect("memory");
        cell
    });
    let clear = |marked: &[NonNull<u8>]| {
        before_mark(&heap);
        marked.iter().for_each(|object| mark(*object));
        heap.begin_clear_weak_handles();
        // SAFETY: one thread; all that is used is marked.
        while !unsafe { heap.clear_weak_handles(1, &mut WeakCounts::default()) } {}
        let targets = cells.map(target);
        start_sweep(&heap);
        heap.sweep_rest(SweepBy::Collector);
        verify_at_rest(&heap);
        targets
    };
    cache.flush(&heap);
    assert_eq!(clear(&pair[1..]), pair.map(Some), "the slot lives");
    assert_eq!(clear(&[]), [None; 2]);
}
