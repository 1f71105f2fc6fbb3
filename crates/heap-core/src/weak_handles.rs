//! [`WeakCell`] and [`WeakHandles`]: which objects have a weak handle, and where it leads.
//!
//! A weak handle is a handle to a *weak cell*, a small heap object without handles that has the
//! address of its target until that dies. All weak handles to an object share one cell, so they are
//! equal exactly if they are handles to the same cell, also when the object is gone. Objects have no
//! headers: the way from an object to its cell is a list of its span, sorted by address. Almost all
//! spans have none, and only those that have one are looked at after marking. (Go: `internal/weak`,
//! where the indirection object hangs on a special of the span.)
//!
//! Mutators that are inside add handles, from any thread, under the span's lock; the collector looks
//! at them after marking, with the world stopped ([`MHeap::clear_weak_handles`]).
//!
//! * WH1: a list is sorted by address, has each object once, and only objects that are allocated.
//! * WH2: the heap's list of spans with weak handles has each span whose list is not empty, once.
//! * WH3: while a mutator is inside, an entry's cell is alive and leads to the entry's object, which
//!   is alive; or the handles are being cleared, and the object is white. So a cell lives as long as
//!   its target, and then as long as there are handles to it.
//!
//! [`MHeap::clear_weak_handles`]: crate::mheap::MHeap::clear_weak_handles

use core::ptr::NonNull;

use heap_sync::atomic::{AtomicPtr, Ordering};
use heap_sync::lock::Mutex;

/// What a weak handle leads to: the address of an object, or nothing once it is dead.
#[derive(Debug)]
#[repr(transparent)]
pub struct WeakCell(AtomicPtr<u8>);

impl WeakCell {
    /// A cell of an object.
    #[must_use]
    pub fn new(target: NonNull<u8>) -> WeakCell {
        WeakCell(AtomicPtr::new(target.as_ptr()))
    }

    /// The object, if it was not found dead.
    #[inline(always)]
    #[must_use]
    pub fn target(&self) -> Option<NonNull<u8>> {
        // ORDERING: Relaxed, here and in `clear`: it was written before the handle was handed out,
        // and changes with the world stopped only.
        NonNull::new(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn clear(&self) {
        self.0.store(core::ptr::null_mut(), Ordering::Relaxed);
    }
}

/// An object that has a weak handle, and its cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WeakHandle {
    /// The start of the object, or a place in a slot that objects share.
    pub(crate) object: NonNull<u8>,
    /// An object of the kind [`WEAK_CELL`](crate::kind::WEAK_CELL).
    pub(crate) cell: NonNull<u8>,
}

// SAFETY: a plain record; the addresses are not followed here.
unsafe impl Send for WeakHandle {}

/// Why a handle was not added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddError {
    /// The object has this cell already.
    Exists(NonNull<u8>),
    /// The system has no memory for the record.
    OutOfMemory,
}

/// What is to become of a handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Keep,
    Remove,
}

/// The weak handles of one span's objects.
#[derive(Debug, Default)]
pub(crate) struct WeakHandles(Mutex<Vec<WeakHandle>>);

fn key(handle: &WeakHandle) -> usize {
    handle.object.addr().get()
}

impl WeakHandles {
    /// Adds a handle. `list_span` is called before the first one; it says whether the span is now in
    /// the heap's list (WH2).
    ///
    /// # Errors
    ///
    /// If the object has one, or there is no memory.
    pub(crate) fn add(
        &self,
        handle: WeakHandle,
        list_span: impl FnOnce() -> bool,
    ) -> Result<(), AddError> {
        let mut list = self.0.lock();
        match list.binary_search_by_key(&key(&handle), key) {
            Ok(at) => Err(AddError::Exists(list[at].cell)),
            Err(at) => {
                let has_room = list.try_reserve(1).is_ok() && (!list.is_empty() || list_span());
                if !has_room {
                    return Err(AddError::OutOfMemory);
                }
                list.insert(at, handle);
                Ok(())
            }
        }
    }

    /// The cell of an object.
    pub(crate) fn get(&self, object: NonNull<u8>) -> Option<NonNull<u8>> {
        let list = self.0.lock();
        let at = list.binary_search_by_key(&object.addr().get(), key).ok()?;
        Some(list[at].cell)
    }

    /// Asks of every handle what is to become of it. Returns how many there were, and are.
    pub(crate) fn retain(&self, mut verdict: impl FnMut(&WeakHandle) -> Verdict) -> (usize, usize) {
        let mut list = self.0.lock();
        let before = list.len();
        list.retain(|handle| verdict(handle) == Verdict::Keep);
        let after = list.len();
        if after == 0 || after * 4 < list.capacity() {
            list.shrink_to(after * 2);
        }
        (before, after)
    }

    /// A copy of the list, for the verifier.
    pub(crate) fn copy(&self) -> Vec<WeakHandle> {
        self.0.lock().clone()
    }

    /// Changes the list behind the invariants' back, for tests of the verifier.
    #[cfg(all(test, not(heap_loom)))]
    pub(crate) fn damage(&self, change: impl FnOnce(&mut Vec<WeakHandle>)) {
        change(&mut self.0.lock());
    }
}
