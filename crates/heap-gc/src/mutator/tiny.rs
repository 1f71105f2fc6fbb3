//! Allocation of objects that share slots: see [`heap_core::tiny`].

use std::ptr::NonNull;

use heap_core::error::OutOfMemory;
use heap_core::tiny::{TINY_CLASS, TinyLayout};

use super::Mutator;

impl Mutator {
    /// Room for a small pointer-free object that shares its slot, uninitialised. The heap
    /// never looks at what is written there: the kind has no handles and no destructor.
    ///
    /// # Errors
    ///
    /// As [`Mutator::alloc_small`].
    #[inline(always)]
    pub fn alloc_tiny(&self, layout: TinyLayout) -> Result<NonNull<u8>, OutOfMemory> {
        // SAFETY: MU1, as in `alloc_small`.
        let cache = unsafe { &mut *self.cache.as_ptr() };
        match cache.alloc_tiny(layout).or_else(|| self.alloc_tiny_slow(layout)) {
            Some(object) => Ok(object),
            None => Err(self.refusal()),
        }
    }

    #[cold]
    #[inline(never)]
    fn alloc_tiny_slow(&self, layout: TinyLayout) -> Option<NonNull<u8>> {
        self.check_may_allocate();
        // SAFETY: MU1, as in `alloc_small`.
        let room = unsafe { &mut *self.cache.as_ptr() }.reopen_for_tiny(layout);
        room.or_else(|| {
            // SAFETY: the kind has no functions that would read the slot.
            let slot = unsafe { self.alloc_slow(TinyLayout::kind(), TINY_CLASS) }?;
            // SAFETY: MU1, as above; the borrow before has ended, and this is the slot that the
            // cache has just handed out.
            unsafe { (*self.cache.as_ptr()).place_tiny(slot, layout) };
            Some(slot)
        })
    }
}
