//! Threads: `std`'s, loom's under `--cfg heap_loom`, shuttle's under `--cfg heap_shuttle`.

#[cfg(heap_loom)]
pub use loom::{
    hint::spin_loop,
    thread::{Builder, JoinHandle, spawn, yield_now},
};
#[cfg(heap_shuttle)]
pub use shuttle::{
    hint::spin_loop,
    thread::{Builder, JoinHandle, spawn, yield_now},
    thread_local,
};
#[cfg(not(any(heap_loom, heap_shuttle)))]
pub use std::{
    hint::spin_loop,
    thread::{Builder, JoinHandle, spawn, yield_now},
};
// The models have no thread-locals of ours.
#[cfg(not(heap_shuttle))]
pub use std::thread_local;
