//! [`Own`]: something that one party of a model has to itself, as loom checks.

use loom::cell::UnsafeCell;

/// Something of one mutator that is inside, or that several only read, or of the collector while the
/// world is stopped.
#[derive(Default)]
pub(crate) struct Own<T>(UnsafeCell<T>);

// SAFETY: loom checks every access.
unsafe impl<T> Sync for Own<T> {}

impl<T: Copy> Own<T> {
    pub(crate) fn new(value: T) -> Own<T> {
        Own(UnsafeCell::new(value))
    }

    pub(crate) fn get(&self) -> T {
        // SAFETY: that no thread writes is what the model checks.
        self.0.with(|value| unsafe { *value })
    }

    pub(crate) fn set(&self, new: T) {
        // SAFETY: that this is exclusive is what the model checks.
        self.0.with_mut(|value| unsafe { *value = new });
    }
}
