//! The one crate that knows about [loom](https://docs.rs/loom).
//!
//! Everything in this workspace that is shared between threads is written
//! against the names below. In a normal build they are the types of `std`; with
//! `--cfg heap_loom` they are loom's, so that the *same source* is run by the
//! model checker. Our own cfg name keeps a global `--cfg loom` of some other
//! crate from switching us, and ours from switching them.
//!
//! Loom explores `fence(SeqCst)` but treats `SeqCst` accesses as `AcqRel`;
//! protocols here therefore take their total order from fences.

pub mod atomic;
pub mod lock;
pub mod thread;
#[cfg(heap_tsan)]
#[allow(unsafe_code, reason = "calls into the sanitizer's run time")]
mod tsan;

/// A constant that shrinks under the model checker, so that wrap-around,
/// overflow and "block full" paths are reached within a handful of steps.
///
/// ```
/// const BLOCK: usize = heap_sync::bound(512, 2);
/// assert!(BLOCK == 512 || BLOCK == 2);
/// ```
#[must_use]
pub const fn bound(real: usize, model: usize) -> usize {
    if cfg!(heap_loom) { model } else { real }
}
