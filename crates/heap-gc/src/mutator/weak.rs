//! A mutator's use of what is weak: weak handles, ephemerons, weak tables ([`WeakTable`]) and
//! finalizers.

use std::ptr::NonNull;

use heap_core::error::OutOfMemory;
use heap_core::kind::WEAK_CELL;
use heap_core::location::Location;
use heap_core::mheap::MHeap;
use heap_core::weak_handles::{AddError, WeakCell};
use heap_sync::mutant;

use super::Mutator;
use crate::finalizers::FinalizerRegistry;
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
        // SAFETY: forwarded from the caller. I6: it may be an object that was made since marking
        // began and is not marked yet.
        unsafe { self.keep(object) };
        // SAFETY: inside (MU3); the rest is forwarded from the caller.
        unsafe { table.try_insert(hash, object) }
    }

    /// Marks an object, if a collection is under way that keeps it in any case: before it is
    /// entered where what is white is taken for dead.
    ///
    /// # Safety
    ///
    /// As for [`Mutator::try_root`].
    #[inline]
    pub unsafe fn keep(&self, object: NonNull<u8>) {
        if self.phase.get() != Phase::Idle {
            // SAFETY: forwarded from the caller.
            unsafe { self.keep_marked(object) };
        }
    }

    /// # Safety
    ///
    /// As [`Mutator::keep`]; a collection is under way.
    #[cold]
    unsafe fn keep_marked(&self, object: NonNull<u8>) {
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

    // ---- weak handles and ephemerons -----------------------------------------

    /// Whether an object may be shown to the program that only something weak leads to. If an
    /// incremental mark phase is under way it is marked then, with all it leads to.
    ///
    /// # Safety
    ///
    /// `object` was alive when this mutator came inside, or the collection that is under way has
    /// found it dead, and what leads to it was not cleared yet (WH3).
    #[inline]
    pub unsafe fn show_weak(&self, object: NonNull<u8>) -> bool {
        debug_assert!(self.is_running());
        match self.phase.get() {
            Phase::Idle => true,
            // SAFETY: forwarded from the caller.
            phase => unsafe { self.show_weak_in(phase, object) },
        }
    }

    /// # Safety
    ///
    /// As [`Mutator::show_weak`].
    #[cold]
    unsafe fn show_weak_in(&self, phase: Phase, object: NonNull<u8>) -> bool {
        if matches!(phase, Phase::Marking(_)) {
            mutant!("upgrades unmarked" => return true);
            // SAFETY: forwarded from the caller: nothing is found dead before marking ends.
            unsafe { self.barrier_mark_object(object) };
            return true;
        }
        mutant!("upgrades the dead" => return true);
        // SAFETY: forwarded from the caller: it was not swept.
        !unsafe { Location::of(object) }.mark().is_white()
    }

    /// Whether an object is dead for good that something weak leads to: no finalizer revives it.
    ///
    /// # Safety
    ///
    /// As [`Mutator::show_weak`].
    #[inline]
    #[must_use]
    pub unsafe fn is_dead(&self, object: NonNull<u8>) -> bool {
        // SAFETY: forwarded from the caller: it was not swept.
        self.phase.get() == Phase::Clearing && unsafe { Location::of(object) }.mark().is_white()
    }

    /// The weak cell of an object: the same whenever it is asked for.
    ///
    /// # Errors
    ///
    /// As [`Mutator::alloc_small`].
    ///
    /// # Safety
    ///
    /// `object` is as for [`Mutator::try_root`].
    pub unsafe fn downgrade(&self, object: NonNull<u8>) -> Result<NonNull<u8>, OutOfMemory> {
        // SAFETY: forwarded from the caller. An object that is white when handles are cleared is dead,
        // but a new one may not be marked yet (I6). Sooner than the look: one that was lost gets a
        // new cell (WH4).
        unsafe { self.keep(object) };
        // SAFETY: forwarded from the caller.
        let known = unsafe { self.shared.heap.weak_cell(object) };
        if let Some(cell) = known {
            // SAFETY: WH3: alive, as its object is. It may not be marked yet, and comes into the
            // hands of the program.
            unsafe { self.keep(cell) };
            return Ok(cell);
        }
        // SAFETY: it is written at once.
        let cell = unsafe { self.alloc_small(&WEAK_CELL, MHeap::weak_cell_class()) }?;
        // SAFETY: just handed out, large enough.
        unsafe { cell.cast::<WeakCell>().write(WeakCell::new(object)) };
        // SAFETY: forwarded from the caller; the cell was made above.
        match unsafe { self.shared.heap.add_weak_cell(object, cell) } {
            Ok(()) => Ok(cell),
            // Another mutator was first; ours is garbage.
            Err(AddError::Exists(cell)) => {
                // SAFETY: as above.
                unsafe { self.keep(cell) };
                Ok(cell)
            }
            Err(AddError::OutOfMemory) => Err(OutOfMemory::System),
        }
    }

    /// The object of a weak cell, if it is alive.
    ///
    /// # Safety
    ///
    /// `cell` is an object of this heap that [`Mutator::downgrade`] has returned, and alive.
    #[inline]
    #[must_use]
    pub unsafe fn upgrade(&self, cell: NonNull<u8>) -> Option<NonNull<u8>> {
        // SAFETY: forwarded from the caller.
        let cell = unsafe { cell.cast::<WeakCell>().as_ref() };
        let target = cell.target()?;
        // SAFETY: WH3.
        if !unsafe { self.show_weak(target) } {
            return None;
        }
        match self.phase.get() {
            // Another mutator may have marked it just now.
            Phase::Reviving(_) => cell.target_of_marked(),
            _ => Some(target),
        }
    }

    /// Whether the object of a weak cell was found dead. Marks nothing.
    ///
    /// # Safety
    ///
    /// As [`Mutator::upgrade`].
    #[inline]
    #[must_use]
    pub unsafe fn is_cleared(&self, cell: NonNull<u8>) -> bool {
        // SAFETY: forwarded from the caller.
        let cell = unsafe { cell.cast::<WeakCell>().as_ref() };
        let Some(target) = cell.target() else { return true };
        match self.phase.get() {
            Phase::Idle | Phase::Marking(_) => false,
            Phase::Reviving(_) | Phase::Clearing => {
                // SAFETY: WH3: it was not swept.
                let target = unsafe { Location::of(target) };
                // Another mutator may have marked it just now (WH4).
                target.mark().is_white() || cell.target_of_marked().is_none()
            }
        }
    }

    // ---- finalizers ----------------------------------------------------------

    #[track_caller]
    fn check_finalizers(&self, registry: &FinalizerRegistry) {
        assert!(registry.is_of(&self.shared.finalizers), "the finalizers belong to another heap");
        debug_assert!(self.is_running());
    }

    /// Registers an object: when it is found unreachable it is handed out once more.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory.
    ///
    /// # Panics
    ///
    /// If the registry belongs to another heap.
    ///
    /// # Safety
    ///
    /// `object` is as for [`Mutator::try_root`].
    #[track_caller]
    pub unsafe fn register_finalizer(
        &self,
        registry: &FinalizerRegistry,
        object: NonNull<u8>,
    ) -> Result<(), OutOfMemory> {
        self.check_finalizers(registry);
        // SAFETY: forwarded from the caller. A new one may not be marked yet, and is not dead.
        unsafe {
            self.keep(object);
            registry.try_register(object)
        }
    }

    /// The next object that was found unreachable.
    ///
    /// # Panics
    ///
    /// If the registry belongs to another heap.
    #[must_use]
    #[track_caller]
    pub fn next_finalizable(&self, registry: &FinalizerRegistry) -> Option<NonNull<u8>> {
        self.check_finalizers(registry);
        let object = registry.take()?;
        // SAFETY: FI1: alive. FI3.
        unsafe { self.keep(object) };
        Some(object)
    }

    /// Hands out everything that is registered, as if it was found unreachable.
    ///
    /// # Panics
    ///
    /// If the registry belongs to another heap.
    #[track_caller]
    pub fn enqueue_all_finalizers(&self, registry: &FinalizerRegistry) {
        self.check_finalizers(registry);
        // SAFETY: FI1: alive.
        registry.enqueue_all(|object| unsafe { self.keep(object) });
    }

    /// Whether an object of any registry of the heap waits to be taken: a relaxed load.
    #[inline(always)]
    #[must_use]
    pub fn has_finalizable(&self) -> bool {
        self.shared.finalizers.any_queued()
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

#[cfg(all(test, heap_loom))]
#[path = "../tests/loom_revival.rs"]
mod loom_revival;
