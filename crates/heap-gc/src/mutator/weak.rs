//! A mutator's use of weak tables: see [`WeakTable`].

use std::ptr::NonNull;

use heap_core::error::OutOfMemory;
use heap_sync::mutant;

use super::Mutator;
use crate::phase::Phase;
use crate::weak::WeakTable;

impl Mutator {
    #[track_caller]
    fn check_weak(&self, table: &WeakTable) {
        assert!(table.is_of(&self.shared.weak), "the weak table belongs to another heap");
        debug_assert!(self.is_running());
    }

    /// The entry of the table with this hash for which `same` holds.
    ///
    /// # Panics
    ///
    /// If the table belongs to another heap.
    #[inline]
    #[track_caller]
    pub fn find_weak(
        &self,
        table: &WeakTable,
        hash: u32,
        mut same: impl FnMut(NonNull<u8>) -> bool,
    ) -> Option<NonNull<u8>> {
        self.check_weak(table);
        // SAFETY: inside, on the owner's thread (MU3), and it stays so: the mutator is borrowed.
        // What is shown is marked first (I2), and is alive (I1).
        unsafe {
            table.find(hash, self.phase.get() == Phase::Clearing, |object| {
                mutant!("shows unmarked" => return same(object));
                self.barrier_mark_object(object);
                same(object)
            })
        }
    }

    /// Adds an entry to the table.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory.
    ///
    /// # Panics
    ///
    /// If the table belongs to another heap.
    ///
    /// # Safety
    ///
    /// `object` is as for [`Mutator::try_root`].
    #[track_caller]
    pub unsafe fn try_insert_weak(
        &self,
        table: &mut WeakTable,
        hash: u32,
        object: NonNull<u8>,
    ) -> Result<(), OutOfMemory> {
        self.check_weak(table);
        if self.phase.get() != Phase::Idle {
            // I6. It may be an object that was made since and is not marked yet.
            // SAFETY: forwarded from the caller.
            unsafe { self.keep(object) };
        }
        // SAFETY: inside (MU3); the rest is forwarded from the caller.
        unsafe { table.try_insert(hash, object) }
    }

    /// Marks an object that the collection that is under way keeps in any case.
    ///
    /// # Safety
    ///
    /// As for [`Mutator::try_root`]; a collection is under way.
    #[cold]
    unsafe fn keep(&self, object: NonNull<u8>) {
        mutant!("inserts white" => return);
        if self.phase.get() == Phase::Clearing {
            // What can be reached is marked already, or new: then so is all it holds (M4).
            // SAFETY: forwarded from the caller.
            unsafe { self.shared.heap.mark_new(object) };
        } else {
            // SAFETY: forwarded from the caller.
            unsafe { self.barrier_mark_object(object) };
        }
    }

    /// Number of entries of the table.
    ///
    /// # Panics
    ///
    /// If the table belongs to another heap.
    #[must_use]
    #[track_caller]
    pub fn weak_len(&self, table: &WeakTable) -> usize {
        self.check_weak(table);
        // SAFETY: inside (MU3).
        unsafe { table.len() }
    }
}
