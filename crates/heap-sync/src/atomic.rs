//! Atomics and fences: `std`'s, loom's under `--cfg heap_loom`, with scheduling points under
//! `--cfg heap_shuttle`.

#[cfg(heap_shuttle)]
pub use crate::simulation::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, fence,
};
#[cfg(heap_loom)]
pub use loom::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, fence,
};
pub use std::sync::atomic::Ordering;
#[cfg(not(any(heap_loom, heap_shuttle)))]
pub use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, fence,
};
