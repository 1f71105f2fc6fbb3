//! Weak tables: hash tables whose entries keep nothing alive.
//!
//! After marking, and before the world resumes, the collector removes the
//! entries whose objects were not reached (the *after-marking hook*).
//!
//! * I1: while a mutator is inside, every entry names a live object.
//! * I2: an entry that is shown while an incremental mark phase is under way is kept, whether
//!   it is the one that is looked for or not: a mutator that sees an object may keep what it
//!   leads to. So it is marked before it is shown, in `mutator/weak.rs`.
//! * I3: the table is touched by a thread inside the heap, which holds the
//!   `WeakTable`, or by the collector with the world stopped; never both.

use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::{Arc, Weak};

use hashbrown::HashTable;
use heap_core::location::Location;
use heap_sync::lock::Mutex;
use heap_sync::mutant;

use crate::gate::WorldStopped;

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

// SAFETY: hashes, and addresses of objects, which any thread that is inside may have.
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
        mutant!("keeps the dead" => return);
        let mut tables = self.0.lock();
        tables.retain(|table| {
            let Some(entries) = table.upgrade() else { return false };
            // SAFETY: I3: the world is stopped.
            let entries = unsafe { &mut *entries.0.get() };
            entries.retain(|entry| {
                // SAFETY: the entry's memory has not been swept since it was
                // allocated: it was alive at the last hook.
                let object = unsafe { Location::of(entry.object) };
                !object.mark().is_white()
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

/// A set of objects found by hash and content, weak in all its entries. A mutator uses it:
/// [`Mutator::find_weak`](crate::Mutator::find_weak).
///
/// Not `Sync`: one thread at a time.
#[derive(Debug)]
pub struct WeakTable {
    entries: Arc<Entries>,
    /// Those of its heap. Held, so that no others can come to the same address.
    tables: Arc<WeakTables>,
    not_sync: std::marker::PhantomData<std::cell::Cell<()>>,
}

impl WeakTable {
    /// An empty table of a heap.
    pub(crate) fn new(tables: &Arc<WeakTables>) -> WeakTable {
        let entries = Arc::new(Entries::default());
        let mut list = tables.0.lock();
        if list.len() == list.capacity() {
            // A program that makes and drops tables but never collects.
            list.retain(|table| table.strong_count() > 0);
        }
        list.push(Arc::downgrade(&entries));
        drop(list);
        let tables = Arc::clone(tables);
        WeakTable { entries, tables, not_sync: std::marker::PhantomData }
    }

    /// Whether it is one of these.
    pub(crate) fn is_of(&self, tables: &Arc<WeakTables>) -> bool {
        Arc::ptr_eq(&self.tables, tables)
    }

    /// The entry with this hash for which `show` holds, which is called with live objects.
    ///
    /// # Safety
    ///
    /// A mutator of the table's heap is inside on this thread until this returns (I3). While an
    /// incremental mark phase is under way `show` marks what it is given (I2).
    #[inline]
    pub(crate) unsafe fn find(
        &self,
        hash: u32,
        mut show: impl FnMut(NonNull<u8>) -> bool,
    ) -> Option<NonNull<u8>> {
        // SAFETY: I3: a mutator is inside on this thread. The table is not `Sync`; if `show`
        // re-enters it, it is only read.
        let entries = unsafe { &*self.entries.0.get() };
        entries
            .find(spread(hash), |entry| entry.hash == hash && show(entry.object))
            .map(|entry| entry.object)
    }

    /// Adds an entry.
    ///
    /// # Safety
    ///
    /// A mutator of the table's heap is inside on this thread (I3). `object` is as for
    /// [`Mutator::root`](crate::Mutator::root).
    pub(crate) unsafe fn insert(&mut self, hash: u32, object: NonNull<u8>) {
        // SAFETY: I3, and `&mut self`: no `find` is under way.
        let entries = unsafe { &mut *self.entries.0.get() };
        entries.insert_unique(spread(hash), Entry { hash, object }, |entry| spread(entry.hash));
    }

    /// Number of entries.
    ///
    /// # Safety
    ///
    /// A mutator of the table's heap is inside on this thread (I3).
    pub(crate) unsafe fn len(&self) -> usize {
        // SAFETY: I3.
        unsafe { &*self.entries.0.get() }.len()
    }
}
