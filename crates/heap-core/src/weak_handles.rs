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
//! at them after marking, with the world stopped ([`MHeap::clear_weak_handles`]), and if that takes
//! several stops mutators clear some in between ([`MHeap::clear_weak_handle`]).
//!
//! * WH1: a list is sorted by address, has each object once, and only objects that are allocated.
//! * WH2: the heap's list of spans with weak handles has each span whose list is not empty, once.
//! * WH3: while a mutator is inside, an entry's cell is alive and leads to the entry's object, which
//!   is alive; or the handles are being cleared, and the object is white, or a mutator has cleared the
//!   cell (WH4). So a cell lives as long as its target, and then as long as there are handles to it.
//! * WH4: while handles are being cleared, a mutator that marks a white object clears its handle first,
//!   under the lock, if the object is white still: to those that asked before it was dead, and it does
//!   not come back to them. So a handle that leads to a marked object then was not cleared, and will
//!   not be.
//!
//! Model: `loom_revival` in the collector.
//!
//! [`MHeap::clear_weak_handles`]: crate::mheap::MHeap::clear_weak_handles
//! [`MHeap::clear_weak_handle`]: crate::mheap::MHeap::clear_weak_handle

use core::ptr::NonNull;

use heap_sync::atomic::{AtomicPtr, Ordering, fence};
use heap_sync::lock::Mutex;

use crate::geometry::GRANULE;
use crate::shrink::shrink_to;

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
        // and changes with the world stopped, or before the object is marked: see `target_of_marked`.
        NonNull::new(self.0.load(Ordering::Relaxed))
    }

    /// The same, once the object was seen to be marked: if a mutator has marked it that has found it
    /// white when handles were being cleared, nothing (WH4).
    #[must_use]
    pub fn target_of_marked(&self) -> Option<NonNull<u8>> {
        // ORDERING: pairs with the fence of `clear_before_mark`: the mark that was seen is behind it.
        fence(Ordering::Acquire);
        self.target()
    }

    /// Clears it, before its object is marked (WH4).
    pub fn clear_before_mark(&self) {
        self.clear();
        // ORDERING: the store above before the mark; pairs with the fence of `target_of_marked`.
        fence(Ordering::Release);
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

/// Whether a mutator has cleared the handle's cell.
fn is_cleared(handle: &WeakHandle) -> bool {
    // SAFETY: WH3: a cell, which is not swept before the handle leaves the list.
    unsafe { handle.cell.cast::<WeakCell>().as_ref() }.target().is_none()
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
            Ok(at) if is_cleared(&list[at]) => {
                list[at] = handle;
                Ok(())
            }
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
        Some(list[at].cell).filter(|_| !is_cleared(&list[at]))
    }

    /// Calls `visit` with the handles of the objects that start in the granule of this one, and so have
    /// one mark.
    pub(crate) fn each_in_granule(&self, object: NonNull<u8>, visit: impl FnMut(&WeakHandle)) {
        let granule = |object: NonNull<u8>| object.addr().get() / GRANULE;
        let list = self.0.lock();
        let from = list.partition_point(|handle| granule(handle.object) < granule(object));
        let others = list[from..].iter();
        others.take_while(|handle| granule(handle.object) == granule(object)).for_each(visit);
    }

    /// Asks of every handle what is to become of it. Returns how many there were, and are.
    pub(crate) fn retain(&self, mut verdict: impl FnMut(&WeakHandle) -> Verdict) -> (usize, usize) {
        let mut list = self.0.lock();
        let before = list.len();
        list.retain(|handle| verdict(handle) == Verdict::Keep);
        let after = list.len();
        if after == 0 || after * 4 < list.capacity() {
            shrink_to(&mut list, after * 2);
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
