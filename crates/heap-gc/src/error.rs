//! Errors of looking into a heap.

use std::fmt;

pub use heap_core::verify::VerifyError as BrokenInvariant;

/// The heap could not be looked into: a context was leaked, and its thread has ended or will
/// not say when it does (X2). What that mutator's caches hold is not known, and nothing is
/// collected until the thread drops the context, if it ever does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextLeaked;

impl fmt::Display for ContextLeaked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a context of the heap was leaked, so its mutator's caches cannot be looked into",
        )
    }
}

impl std::error::Error for ContextLeaked {}

/// Why a heap is not known to be whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// An invariant is broken: a fault of this library, or memory that was overwritten.
    Broken(BrokenInvariant),
    /// Nothing was checked.
    Unchecked(ContextLeaked),
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VerifyError::Broken(broken) => broken.fmt(f),
            VerifyError::Unchecked(why) => write!(f, "nothing was checked: {why}"),
        }
    }
}

impl std::error::Error for VerifyError {}

impl From<BrokenInvariant> for VerifyError {
    fn from(broken: BrokenInvariant) -> Self {
        VerifyError::Broken(broken)
    }
}

impl From<ContextLeaked> for VerifyError {
    fn from(why: ContextLeaked) -> Self {
        VerifyError::Unchecked(why)
    }
}
