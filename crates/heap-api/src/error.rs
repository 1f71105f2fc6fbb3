//! The errors of this crate: memory was refused ([`AllocError`]), a check of the heap found a
//! fault ([`VerifyError`]), or the heap cannot be inspected ([`ContextLeaked`]).

use core::fmt;

pub use heap_gc::{BrokenInvariant, ContextLeaked, OutOfMemory, VerifyError};

/// An allocation was refused, by the heap's limit or by the operating system, or because
/// the object would be too large for any heap. Carries the value that could not be allocated.
pub struct AllocError<T = ()> {
    /// The value that was to be allocated.
    pub value: T,
    /// Why it was refused.
    pub reason: OutOfMemory,
}

impl<T> AllocError<T> {
    /// Drops the value and keeps the reason.
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

impl<T> fmt::Display for AllocError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<T> core::error::Error for AllocError<T> {}
