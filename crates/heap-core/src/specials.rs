//! [`Special`]: a record of a single object: a weak handle, a finalizer, an allocation
//! sample. (Go: `special` in `mheap.go`.)
//!
//! Objects have no headers, so such records are kept with their span's record, sorted
//! by address: almost all spans have none, and for these a sweep costs one load more.
//! The layers above know what the data of a special means: here it is
//! an opaque word. Sweeping a span takes the specials of its dead objects out and
//! puts them in the heap's queue ([`crate::mheap::MHeap::take_fired`]).
//!
//! Mutators add and remove specials of objects that they hold alive, at any time
//! and from any thread, under the span's own lock; the sweeper takes the same
//! lock. A span need not be swept first: an object that a mutator holds is marked
//! in an unswept span, and its specials stay.
//!
//! * SP1: a list is sorted by address and kind, has one entry for each, and only
//!   objects that are allocated.
//! * SP2: when a slot is freed its specials have been queued, each once, in the
//!   order of [`SpecialKind`]: weak handles go before finalizers.
//! * SP3: an object with a finalizer survives the sweep that queues it, once; what
//!   is left of its specials stays with it.
//! * SP4: `any` of a span is true whenever its list is not empty, as far as the
//!   span's sweeper is concerned.

use core::ptr::NonNull;

use heap_sync::atomic::{AtomicBool, Ordering};
use heap_sync::lock::Mutex;

/// The sort of a special. An object has one of each at most. They are queued in this
/// order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SpecialKind {
    /// A weak handle: must be cleared before a finalizer can make the object reachable.
    WeakHandle,
    /// A finalizer: keeps a dead object for one more cycle.
    Finalizer,
    /// The object is one of a sample of allocations.
    Sample,
}

/// A record of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Special {
    /// The start of the object.
    pub object: NonNull<u8>,
    /// The sort of the record.
    pub kind: SpecialKind,
    /// Its data, opaque to this layer.
    pub data: usize,
}

// SAFETY: a plain record; the address is not followed here.
unsafe impl Send for Special {}

/// Why a special was not added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddError {
    /// The object has one of this kind, with this data: threads that add one at the same time
    /// can so agree on the first.
    Exists(usize),
    /// The system has no memory for the record.
    OutOfMemory,
}

/// Whether an object is dead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It was marked.
    Live,
    /// It was not.
    Dead,
}

/// The specials of one span.
#[derive(Debug)]
pub struct Specials {
    /// SP4.
    any: AtomicBool,
    list: Mutex<Vec<Special>>,
}

impl Default for Specials {
    fn default() -> Self {
        Specials { any: AtomicBool::new(false), list: Mutex::new(Vec::new()) }
    }
}

type Key = (usize, SpecialKind);

fn key(special: &Special) -> Key {
    (special.object.addr().get(), special.kind)
}

impl Specials {
    /// Adds a special of an object of the span.
    ///
    /// # Errors
    ///
    /// If the object has one of this kind, or there is no memory.
    pub(crate) fn add(&self, special: Special) -> Result<(), AddError> {
        let mut list = self.list.lock();
        match list.binary_search_by_key(&key(&special), key) {
            Ok(at) => Err(AddError::Exists(list[at].data)),
            Err(at) => {
                list.try_reserve(1).map_err(|_| AddError::OutOfMemory)?;
                list.insert(at, special);
                // ORDERING: Relaxed: the sweeper that must see it starts after the
                // next stop of the world (SP4).
                self.any.store(true, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// The data of an object's special of this kind.
    #[must_use]
    pub(crate) fn get(&self, object: NonNull<u8>, kind: SpecialKind) -> Option<usize> {
        let list = self.list.lock();
        let at = list.binary_search_by_key(&(object.addr().get(), kind), key).ok()?;
        Some(list[at].data)
    }

    /// Removes a special; returns its data.
    pub(crate) fn remove(&self, object: NonNull<u8>, kind: SpecialKind) -> Option<usize> {
        let mut list = self.list.lock();
        let at = list.binary_search_by_key(&(object.addr().get(), kind), key).ok()?;
        let removed = list.remove(at);
        self.settle(&list);
        Some(removed.data)
    }

    /// Whether the span may have specials.
    #[inline]
    #[must_use]
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// A copy of the list.
    #[must_use]
    pub(crate) fn usage(&self) -> Vec<Special> {
        self.list.lock().clone()
    }

    /// Moves the specials of dead objects to `fired`. `revive` is called for each
    /// dead object that a finalizer keeps (SP3).
    ///
    /// If there is no memory for the queue all objects with specials are kept, and
    /// are found again by the next sweep.
    pub(crate) fn fire(
        &self,
        fired: &mut Vec<Special>,
        fate: impl Fn(NonNull<u8>) -> Fate,
        mut revive: impl FnMut(NonNull<u8>),
    ) {
        let mut list = self.list.lock();
        let has_memory = fired.try_reserve(list.len()).is_ok();
        // In place: what stays is moved down, in order.
        let (mut kept, mut next) = (0, 0);
        while next < list.len() {
            let object = list[next].object;
            let group = list[next..].iter().take_while(|other| other.object == object).count();
            let dead = fate(object) == Fate::Dead;
            let finalized =
                list[next..next + group].iter().any(|s| s.kind == SpecialKind::Finalizer);
            if dead && (finalized || !has_memory) {
                revive(object);
            }
            for i in next..next + group {
                let special = list[i];
                let stays =
                    !dead || !has_memory || (finalized && special.kind > SpecialKind::Finalizer);
                if stays {
                    list[kept] = special;
                    kept += 1;
                } else {
                    fired.push(special);
                }
            }
            next += group;
        }
        list.truncate(kept);
        self.settle(&list);
    }

    /// Changes the list behind the invariants' back, for tests of the verifier.
    #[cfg(all(test, not(heap_loom)))]
    pub(crate) fn damage(&self, change: impl FnOnce(&mut Vec<Special>)) {
        change(&mut self.list.lock());
    }

    fn settle(&self, list: &[Special]) {
        if list.is_empty() {
            self.any.store(false, Ordering::Relaxed);
        }
    }
}
