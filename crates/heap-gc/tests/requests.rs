//! Requests for a collection that come at a bad time.

#![allow(unsafe_code, reason = "an object that asks for a collection while it is traced")]

use std::cell::RefCell;
use std::sync::Arc;

use heap_core::kind::ObjectKind;
use heap_core::size_class::SizeClass;
use heap_core::tracer::EdgeBuffer;
use heap_gc::{GcConfig, HeapState, Mutator};

thread_local!(static MARKED: RefCell<Option<Arc<HeapState>>> = const { RefCell::new(None) });

/// Asks for a collection of the heap that is marked.
fn ask_again(_page: *const u8, _buffer: &mut EdgeBuffer) {
    MARKED.with_borrow(|shared| shared.as_ref().expect("a heap").request_collection());
}

// SAFETY: there are no handles.
static ASKING: ObjectKind = unsafe { ObjectKind::new(|| "asking", Some(ask_again), None, None) };

#[test]
fn a_request_made_while_marking_is_answered_by_another_collection() {
    let shared = HeapState::new(GcConfig { huge_pages: false, ..GcConfig::default() });
    let mut mutator = Mutator::attach(&shared);
    let class = SizeClass::for_size(64).expect("a small object");
    // SAFETY: the kind's function does not read the object.
    let root =
        unsafe { mutator.try_root(mutator.alloc_small(&ASKING, class).expect("memory")) }.unwrap();
    MARKED.set(Some(Arc::clone(&shared)));
    shared.request_collection();
    mutator.safepoint();
    assert_eq!(shared.stats().collections, 1);
    assert!(mutator.poll(), "the roots were read before the request");
    drop(root);
    mutator.safepoint();
    assert_eq!(shared.stats().collections, 2);
    assert!(!mutator.poll(), "nobody asked again");
    MARKED.take();
}
