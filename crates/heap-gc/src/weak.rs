//! Weak tables: hash tables whose entries keep nothing alive.
//!
//! After marking, and before the world resumes, the collector removes the
//! entries whose objects were not reached (the *after-marking hook*).
//!
//! * I1: while a mutator is inside, every entry names a live object.
//! * I2: an entry that is shown while an incremental mark phase is under way is kept, whether it is the
//!   one that is looked for or not: who sees an object may keep what it leads to. So it is
//!   marked before it is shown.
//! * I3: the table is touched by a thread inside the heap, which holds the
//!   `WeakTable`, or by the collector with the world stopped; never both.

use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::{Arc, Weak};

use hashbrown::HashTable;
use heap_core::arena::{Arena, WHITE};
use heap_sync::atomic::Ordering;
use heap_sync::lock::Mutex;

use crate::gate::WorldStopped;
use crate::heap_state::HeapState;
use crate::mutator::Mutator;

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    object: NonNull<u8>,
}

/// Spreads a 32-bit hash over the 64 bits that the table wants.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[derive(Debug, Default)]
struct Entries(UnsafeCell<HashTable<Entry>>);

// SAFETY: hashes, and addresses of objects that any thread may have which is inside.
unsafe impl Send for Entries {}
// SAFETY: I3: two threads do not reach the table at the same time, and the gate orders a
// collector after a mutator and the next mutator after it (GA3).
unsafe impl Sync for Entries {}

/// The weak tables of a heap.
#[derive(Debug, Default)]
pub(crate) struct WeakTables(Mutex<Vec<Weak<Entries>>>);

impl WeakTables {
    /// The after-marking hook (I1): forgets entries whose objects are white.
    pub(crate) fn after_mark(&self, _world: &WorldStopped<'_>) {
        let mut tables = self.0.lock();
        tables.retain(|table| {
            let Some(entries) = table.upgrade() else { return false };
            // SAFETY: I3: the world is stopped.
            let entries = unsafe { &mut *entries.0.get() };
            entries.retain(|entry| {
                // SAFETY: the entry's memory has not been swept since it was
                // allocated: it was alive at the last hook.
                let arena = unsafe { Arena::of(entry.object) };
                let mark = arena.mark_byte(entry.object.addr().get()).load(Ordering::Relaxed);
                mark != WHITE
            });
            if entries.capacity() > 64 && entries.len() * 4 < entries.capacity() {
                entries.shrink_to(entries.len() * 2, |entry| spread(entry.hash));
            }
            true
        });
        if tables.capacity() > 64 && tables.len() * 4 < tables.capacity() {
            let room = tables.len() * 2;
            tables.shrink_to(room);
        }
    }

    /// Calls `visit` with the object of every entry, for the verifier.
    pub(crate) fn each(&self, _world: &WorldStopped<'_>, mut visit: impl FnMut(NonNull<u8>)) {
        for entries in self.0.lock().iter().filter_map(Weak::upgrade) {
            // SAFETY: I3: the world is stopped.
            unsafe { &*entries.0.get() }.iter().for_each(|entry| visit(entry.object));
        }
    }
}

/// A set of objects found by hash and content, weak in all its entries.
///
/// Not `Sync`: one thread at a time.
#[derive(Debug)]
pub struct WeakTable {
    entries: Arc<Entries>,
    /// Weak, so that no other heap can come to the same address.
    heap: Weak<HeapState>,
    not_sync: std::marker::PhantomData<std::cell::Cell<()>>,
}

impl WeakTable {
    /// An empty table of the heap.
    #[must_use]
    pub fn new(shared: &Arc<HeapState>) -> WeakTable {
        let entries = Arc::new(Entries::default());
        let mut tables = shared.weak.0.lock();
        if tables.len() == tables.capacity() {
            // A program that makes and drops tables but never collects.
            tables.retain(|table| table.strong_count() > 0);
        }
        tables.push(Arc::downgrade(&entries));
        drop(tables);
        WeakTable { entries, heap: Arc::downgrade(shared), not_sync: std::marker::PhantomData }
    }

    #[track_caller]
    fn check(&self, mutator: &Mutator) {
        assert!(
            std::ptr::eq(self.heap.as_ptr(), Arc::as_ptr(mutator.shared())),
            "the weak table belongs to another heap"
        );
        debug_assert!(mutator.is_running());
    }

    /// The entry with this hash for which `same` holds.
    ///
    /// # Panics
    ///
    /// If the mutator belongs to another heap.
    #[inline]
    #[track_caller]
    pub fn find(
        &self,
        mutator: &Mutator,
        hash: u32,
        mut same: impl FnMut(NonNull<u8>) -> bool,
    ) -> Option<NonNull<u8>> {
        self.check(mutator);
        // SAFETY: I3: a mutator of this heap is inside on this thread (MU3), and stays so: it
        // is borrowed. The table is not `Sync`; if `same` re-enters it, it is only read.
        let entries = unsafe { &*self.entries.0.get() };
        let mut show = |object| {
            // SAFETY: I1.
            unsafe { mutator.barrier_mark_object(object) };
            same(object)
        };
        entries
            .find(spread(hash), |entry| entry.hash == hash && show(entry.object))
            .map(|entry| entry.object)
    }

    /// Adds an entry.
    ///
    /// # Panics
    ///
    /// If the mutator belongs to another heap.
    ///
    /// # Safety
    ///
    /// `object` is as for [`Mutator::root`].
    #[track_caller]
    pub unsafe fn insert(&mut self, mutator: &Mutator, hash: u32, object: NonNull<u8>) {
        self.check(mutator);
        // SAFETY: I3 (MU3), and `&mut self`: no `find` is under way.
        let entries = unsafe { &mut *self.entries.0.get() };
        entries.insert_unique(spread(hash), Entry { hash, object }, |entry| spread(entry.hash));
    }

    /// Number of entries.
    ///
    /// # Panics
    ///
    /// If the mutator belongs to another heap.
    #[track_caller]
    pub fn len(&self, mutator: &Mutator) -> usize {
        self.check(mutator);
        // SAFETY: I3.
        unsafe { &*self.entries.0.get() }.len()
    }
}
