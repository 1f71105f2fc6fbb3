//! What can go wrong: running out of memory, and a heap that is not whole.

use core::fmt;

pub use heap_gc::{BrokenInvariant, ContextLeaked, OutOfMemory, VerifyError};

/// An allocation that the heap's limit or the operating system refused. It
/// carries the value that could not be allocated.
#[derive(thiserror::Error)]
#[error("{reason}")]
pub struct AllocError<T = ()> {
    /// The value that was to be allocated.
    pub value: T,
    /// Why it was refused.
    pub reason: OutOfMemory,
}

impl<T> AllocError<T> {
    /// Drops the value, keeps the reason.
    #[must_use]
    pub fn without_value(self) -> AllocError {
        AllocError { value: (), reason: self.reason }
    }
}

impl<T> fmt::Debug for AllocError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllocError").field("reason", &self.reason).finish_non_exhaustive()
    }
}
