//! How many spans a cache asks for: the more, the more were taken before; fewer if they
//! are long, or take their time to sweep.

#![cfg(not(heap_loom))]

mod support;

use std::ptr::NonNull;

use heap_core::kind::{NOSCAN, ObjectKind};
use heap_core::mcache::{Cache, Refill};
use heap_core::mheap::{MHeap, SPAN_BATCH};
use heap_core::os::SystemOs;
use heap_core::size_class::SizeClass;
use support::{config, refill};

fn drop_nothing(_object: NonNull<u8>) {}

static DROPS: ObjectKind = ObjectKind {
    name: || "drops",
    trace_batch: None,
    trace_piece: None,
    drop_in_place: Some(drop_nothing),
};

fn class_of(bytes: usize) -> SizeClass {
    SizeClass::for_size(bytes).expect("a small size")
}

/// What a cache asks for first after it has filled so many spans, was flushed, filled so
/// many more, and so on.
fn wanted(kind: &'static ObjectKind, bytes: usize, filled: &[usize]) -> usize {
    let heap = MHeap::new(config(), Box::new(SystemOs));
    let (mut cache, class) = (Cache::default(), class_of(bytes));
    for spans in filled {
        for _ in 0..spans * class.objects_per_span() {
            let slot = cache.alloc(kind, class);
            slot.unwrap_or_else(|| refill(&heap, &mut cache, kind, class).expect("memory"));
        }
        cache.flush(&heap);
    }
    match cache.refill(&heap, kind, class) {
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
    assert_eq!(wanted(&DROPS, 1024, &[400]), 16);
    // The pages of a batch are as many.
    let pages = class_of(9472).span_pages();
    assert!(pages > 1);
    assert_eq!(wanted(&NOSCAN, 9472, &[400]), SPAN_BATCH / pages);
    assert_eq!(wanted(&DROPS, 9472, &[400]), 16 / pages);
}
