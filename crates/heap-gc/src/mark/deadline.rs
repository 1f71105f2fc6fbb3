//! [`Deadline`]: when a step of marking ends, if it is not to go on to the end.
//!
//! Shared by the workers of a step. Once it is over it stays so.

use heap_sync::atomic::{AtomicBool, Ordering};
use heap_sync::time::Instant;

/// When a step of marking ends.
#[derive(Debug)]
pub(super) struct Deadline {
    pub(super) at: Option<Instant>,
    /// Whether a worker has found it past; the others need not look at the clock.
    passed: AtomicBool,
}

impl Deadline {
    pub(super) fn at(at: Option<Instant>) -> Deadline {
        Deadline { at, passed: AtomicBool::new(false) }
    }

    /// Whether it is over. Once it is, it stays so.
    pub(super) fn is_over(&self) -> bool {
        let Some(at) = self.at else { return false };
        // ORDERING: Relaxed: a hint; what is left for later is handed over under a lock.
        if !self.passed.load(Ordering::Relaxed) {
            if Instant::now() < at {
                return false;
            }
            self.passed.store(true, Ordering::Relaxed);
        }
        true
    }
}
