//! A cell that shows whether its users take turns.

use loom::cell::UnsafeCell;

/// A counter without any synchronisation of its own. Loom fails the model when
/// two accesses, of which one is a [`Witness::touch`], are not ordered.
#[derive(Debug, Default)]
pub struct Witness(UnsafeCell<u32>);

// SAFETY: loom checks every access.
unsafe impl Sync for Witness {}

impl Witness {
    /// An access that must be exclusive. Returns how many there were before.
    pub fn touch(&self) -> u32 {
        // SAFETY: that this is exclusive is what the model checks.
        self.0.with_mut(|count| unsafe {
            *count += 1;
            *count - 1
        })
    }

    /// An access that may be shared. Returns how many touches there were.
    pub fn look(&self) -> u32 {
        // SAFETY: that nobody writes is what the model checks.
        self.0.with(|count| unsafe { *count })
    }
}
