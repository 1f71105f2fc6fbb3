//! Threads: `std`'s, or loom's under `--cfg heap_loom`.

#[cfg(heap_loom)]
pub use loom::{
    hint::spin_loop,
    thread::{JoinHandle, spawn, yield_now},
};
#[cfg(not(heap_loom))]
pub use std::{
    hint::spin_loop,
    thread::{JoinHandle, spawn, yield_now},
};
