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

/// Whether the program's allocator has what starting a thread takes: `std` ends the process if that is
/// refused, also where the caller could do without the thread. A hint: another thread may be faster.
#[must_use]
pub fn has_memory_for_thread() -> bool {
    /// The thread's handle, its name, its closure, and what it registers when it begins to work.
    const BYTES: usize = 16 << 10;
    Vec::<u8>::new().try_reserve_exact(BYTES).is_ok()
}
