//! How many spans a cache asks for: the more, the more were taken before; fewer if they
//! are long, or take their time to sweep.

#![cfg(not(heap_loom))]
#![allow(unsafe_code, reason = "makes a kind")]

mod support;

use std::collections::HashSet;
use std::ptr::NonNull;

use heap_core::geometry::PAGE_SIZE;
use heap_core::kind::{NOSCAN, ObjectKind};
use heap_core::mcache::{Cache, Refill};
use heap_core::mheap::{MHeap, SPAN_BATCH};
use heap_core::os::SystemOs;
use heap_core::partition::Partition;
use heap_core::size_class::SizeClass;
use support::{ask, cache_at, collect_everything, config, refill, verify_at_rest};

fn drop_nothing(_object: NonNull<u8>) {}

// SAFETY: there are no handles; the destructor reads nothing.
static DROPS: ObjectKind = unsafe { ObjectKind::new(|| "drops", None, None, Some(drop_nothing)) };

fn class_of(bytes: usize) -> SizeClass {
    SizeClass::for_size(bytes).expect("a small size")
}

fn fill(heap: &MHeap, cache: &mut Cache, kind: &'static ObjectKind, class: SizeClass, n: usize) {
    for _ in 0..n {
        refill(heap, cache, kind, class).expect("memory");
    }
}

/// What a cache asks for first after it has filled so many spans, was flushed, filled so
/// many more, and so on.
fn wanted(kind: &'static ObjectKind, bytes: usize, filled: &[usize]) -> usize {
    let heap = MHeap::new(config(), Box::new(SystemOs));
    let (mut cache, class) = (cache_at(Partition::default()), class_of(bytes));
    for spans in filled {
        fill(&heap, &mut cache, kind, class, spans * class.objects_per_span());
        cache.flush(&heap);
    }
    match ask(&heap, &mut cache, kind, class) {
        Refill::NeedSpans(request) => request.wanted,
        other => panic!("all spans are full: {other:?}"),
    }
}

#[test]
fn a_quarter_of_what_was_taken() {
    assert_eq!(wanted(&NOSCAN, 16, &[]), 1);
    assert_eq!(wanted(&NOSCAN, 16, &[3]), 1);
    assert_eq!(wanted(&NOSCAN, 16, &[20]), 5);
    assert_eq!(wanted(&NOSCAN, 1024, &[20]), 5);
    // Since the last flush, or before it; not longer ago.
    assert_eq!(wanted(&NOSCAN, 1024, &[20, 0]), 1);
    assert_eq!(wanted(&NOSCAN, 1024, &[20, 8]), 2);
}

#[test]
fn a_full_batch_at_most() {
    assert_eq!(wanted(&NOSCAN, 1024, &[400]), SPAN_BATCH);
    assert_eq!(wanted(&DROPS, 1024, &[400]), SPAN_BATCH);
    // The pages of a batch are as many.
    let pages = class_of(9472).span_pages();
    assert!(pages > 1);
    assert_eq!(wanted(&NOSCAN, 9472, &[400]), SPAN_BATCH / pages);
}

/// Every slot of a batch is handed out once, and all of its spans come back, used up or
/// not.
#[test]
fn a_batch_is_used_span_by_span() {
    const SPANS: usize = 40;
    let heap = MHeap::new(config(), Box::new(SystemOs));
    let (mut cache, class) = (cache_at(Partition::default()), class_of(1024));
    let per_span = class.objects_per_span();
    fill(&heap, &mut cache, &NOSCAN, class, SPANS * per_span);
    // All of them die: the next cycle begins with batches of ten.
    for used in [3 * per_span, SPANS * per_span, 12 * per_span + 1] {
        cache.flush(&heap);
        collect_everything(&heap);
        let mut slots = HashSet::new();
        for _ in 0..used {
            let slot = refill(&heap, &mut cache, &NOSCAN, class).expect("memory");
            assert!(slots.insert(slot), "C2: a slot is handed out once");
        }
        cache.flush(&heap);
        assert_eq!(heap.memory().in_use, SPANS * PAGE_SIZE, "no span is lost");
        verify_at_rest(&heap);
    }
}
