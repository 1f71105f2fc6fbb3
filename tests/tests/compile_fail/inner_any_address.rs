//! The functions of a mutator that take an address, or want something written, are unsafe.
#![forbid(unsafe_code)]
use heap_core::kind::NOSCAN;
use heap_core::mheap::Fill;
use heap_core::size_class::SizeClass;
use heap_gc::{Mutator, GcConfig, HeapState};
use std::ptr::NonNull;

fn main() {
    let shared = HeapState::new(GcConfig::default());
    let mut mutator = Mutator::attach(&shared);
    let mut root = mutator.try_root(NonNull::dangling()).unwrap();
    root.try_set(NonNull::dangling()).unwrap();
    mutator.try_shadow_push(NonNull::dangling()).unwrap();
    mutator.barrier_mark_object(NonNull::dangling());
    mutator.barrier_mark(|_| ());
    mutator.try_insert_weak(&mut shared.weak_table(), 0, NonNull::dangling()).unwrap();
    let _ = mutator.alloc_small(&NOSCAN, SizeClass::LARGE);
    let _ = mutator.alloc_large(&NOSCAN, 8, Fill::Whole);
    mutator.leave();
    mutator.step_out();
    mutator.collect();
}
