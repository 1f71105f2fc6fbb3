//! The one crate that knows about [loom](https://docs.rs/loom) and
//! [shuttle](https://docs.rs/shuttle).
//!
//! Everything in this workspace that is shared between threads uses the names below. In
//! a normal build they are the types of `std`; with `--cfg heap_loom` they are loom's, so
//! that the model checker runs the *same source*, one protocol at a time; with
//! `--cfg heap_shuttle` they are shuttle's or have its scheduling points (`simulation`), so that a
//! whole heap runs under a scheduler whose choices can be replayed. The cfgs have names of their
//! own so that a `--cfg loom` for other crates does not switch this one, and the other way round.
//!
//! Loom explores `fence(SeqCst)` but treats `SeqCst` accesses as `AcqRel`;
//! protocols here therefore take their total order from fences.
//!
//! Layers, bottom-up (a test checks it):
//!
//! ```text
//! layers: (simulation atomic) tsan lock time thread mutant witness model
//! ```

pub mod atomic;
pub mod lock;
#[cfg(heap_loom)]
pub mod model;
pub mod mutant;
#[cfg(heap_shuttle)]
mod simulation;
pub mod thread;
pub mod time;
#[cfg(heap_tsan)]
#[allow(unsafe_code, reason = "calls into the sanitizer's run time")]
mod tsan;
#[cfg(heap_loom)]
#[allow(unsafe_code, reason = "races on purpose, under the model checker")]
mod witness;

/// A constant: `real`, or `model` under the model checker, where a small value makes
/// wrap-around, overflow and "block full" paths reachable within a few steps. In a simulation it
/// is a little more than in a model.
///
/// ```
/// const BLOCK: usize = heap_sync::bound(512, 2);
/// assert!(BLOCK == 512 || BLOCK <= 4);
/// ```
#[must_use]
pub const fn bound(real: usize, model: usize) -> usize {
    if cfg!(heap_loom) {
        model
    } else if cfg!(heap_shuttle) {
        model + 2
    } else {
        real
    }
}
