//! Weak tables: hash tables whose entries keep nothing alive.
//!
//! After marking, and before the sweep, the collector removes the entries whose objects were not
//! reached (the *after-marking hook*), some at a time. While mutators run in between they find no
//! entry whose object is white.
//!
//! * I1: while a mutator is inside, every entry names a live object; or the tables are being
//!   cleared, and one that does not is white.
//! * I2: an entry that is shown while an incremental mark phase is under way is kept, whether
//!   it is the one that is looked for or not: a mutator that sees an object may keep what it
//!   leads to. So it is marked before it is shown, in `mutator/weak.rs`.
//! * I3: the table is touched by a thread inside the heap, which holds the
//!   `WeakTable`, or by the collector with the world stopped; never both.
//! * I6: what is inserted while a collection is under way is marked first.
//!
//! Model: `tests/loom_weak.rs`.

use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::{Arc, Weak};

use heap_core::error::OutOfMemory;
use heap_core::location::Location;
use heap_core::mark_byte::prefetch_mark;
use heap_core::shrink::shrink_to;
use heap_sync::lock::Mutex;
use heap_sync::mutant;

use self::entries::{Entries, Entry, Liveness, Refused};
use crate::gate::WorldStopped;

mod entries;

/// Asks the mark bytes, after marking.
struct Marks;

impl Liveness for Marks {
    fn is_dead(&self, entry: &Entry) -> bool {
        // SAFETY: the object's memory has not been swept (contract of `Entry::new`).
        unsafe { Location::of(entry.object()) }.mark().is_white()
    }

    fn prefetch(&self, entry: &Entry) {
        prefetch_mark(entry.object());
    }
}

#[derive(Debug, Default)]
struct SharedEntries(UnsafeCell<Entries>);

// SAFETY: hashes, and addresses of objects, which any thread that is inside may have.
unsafe impl Send for SharedEntries {}
// SAFETY: I3: two threads do not reach the table at the same time, and the gate orders a
// collector after a mutator and the next mutator after it (GA3).
unsafe impl Sync for SharedEntries {}

/// The weak tables of a heap.
#[derive(Debug, Default)]
pub(crate) struct WeakTables(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    tables: Vec<Weak<SharedEntries>>,
    /// How many were not looked at, while the tables are being cleared: the first ones. Those that
    /// are made meanwhile come behind them, and have no white objects (I6).
    uncleared: usize,
}

/// Buckets that are looked at in one go: some ten microseconds. In builds with assertions few, so
/// that the small tables of tests are cleared in many slices.
const BUCKETS_CLEARED: usize = if cfg!(debug_assertions) { 2 } else { 1024 };

impl WeakTables {
    /// Begins the after-marking hook: all that can be reached is marked.
    pub(crate) fn begin_clear(&self, _world: &WorldStopped<'_>) {
        mutant!("keeps the dead" => return);
        let list = &mut *self.0.lock();
        debug_assert_eq!(list.uncleared, 0, "a hook ends before the next begins");
        list.uncleared = list.tables.len();
    }

    /// A part of the hook (I1): forgets entries whose objects are white. Says whether all are
    /// forgotten. The unit that is not divided is a number of buckets.
    pub(crate) fn clear_some(&self, _world: &WorldStopped<'_>) -> bool {
        let List { tables, uncleared } = &mut *self.0.lock();
        let mut left = BUCKETS_CLEARED;
        while *uncleared > 0 && left > 0 {
            let at = *uncleared - 1;
            let looked_at = match tables[at].upgrade() {
                Some(entries) => {
                    // SAFETY: I3: the world is stopped.
                    let entries = unsafe { &mut *entries.0.get() };
                    let looked_at = entries.clear_some(left, &Marks);
                    *uncleared -= usize::from(!entries.is_being_cleared());
                    looked_at
                }
                None => {
                    // The one that takes its place was looked at, or is new.
                    tables.swap_remove(at);
                    *uncleared -= 1;
                    0
                }
            };
            left = left.saturating_sub(looked_at.max(1));
        }
        if *uncleared == 0 && tables.capacity() > 64 && tables.len() * 4 < tables.capacity() {
            let room = tables.len() * 2;
            shrink_to(tables, room);
        }
        *uncleared == 0
    }

    /// Calls `visit` with the object of every entry, for the verifier.
    pub(crate) fn each(&self, _world: &WorldStopped<'_>, mut visit: impl FnMut(NonNull<u8>)) {
        for entries in self.0.lock().tables.iter().filter_map(Weak::upgrade) {
            // SAFETY: I3: the world is stopped.
            unsafe { &*entries.0.get() }.iter().for_each(|entry| visit(entry.object()));
        }
    }
}

/// A set of objects found by hash and content, weak in all its entries. A mutator uses it:
/// [`Mutator::find_weak`](crate::Mutator::find_weak).
///
/// Not `Sync`: one thread at a time.
#[derive(Debug)]
pub struct WeakTable {
    entries: Arc<SharedEntries>,
    /// Those of its heap. Held, so that no others can come to the same address.
    tables: Arc<WeakTables>,
    not_sync: std::marker::PhantomData<std::cell::Cell<()>>,
}

impl WeakTable {
    /// An empty table of a heap.
    pub(crate) fn new(tables: &Arc<WeakTables>) -> WeakTable {
        let entries = Arc::new(SharedEntries::default());
        let mut list = tables.0.lock();
        let is_full = list.tables.len() == list.tables.capacity();
        if is_full && list.uncleared == 0 {
            // A program that makes and drops tables but never collects.
            list.tables.retain(|table| table.strong_count() > 0);
        }
        list.tables.push(Arc::downgrade(&entries));
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
    /// incremental mark phase is under way `show` marks what it is given (I2). `is_clearing` says
    /// whether weak tables are being cleared.
    #[inline]
    pub(crate) unsafe fn find(
        &self,
        hash: u32,
        is_clearing: bool,
        mut show: impl FnMut(NonNull<u8>) -> bool,
    ) -> Option<NonNull<u8>> {
        // SAFETY: I3: a mutator is inside on this thread. The table is not `Sync`; if `show`
        // re-enters it, it is only read.
        let entries = unsafe { &*self.entries.0.get() };
        let is_alive = |entry: &Entry| {
            mutant!("shows the dead" => return true);
            !(is_clearing && Marks.is_dead(entry))
        };
        entries.find(hash, |entry| is_alive(entry) && show(entry.object()))
    }

    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory.
    ///
    /// # Safety
    ///
    /// A mutator of the table's heap is inside on this thread (I3). `object` is as for
    /// [`Mutator::try_root`](crate::Mutator::try_root).
    pub(crate) unsafe fn try_insert(
        &mut self,
        hash: u32,
        object: NonNull<u8>,
    ) -> Result<(), OutOfMemory> {
        // SAFETY: I3, and `&mut self`: no `find` is under way.
        let entries = unsafe { &mut *self.entries.0.get() };
        // SAFETY: a live object; when it is dead, the table is cleared before the sweep (I1).
        let entry = unsafe { Entry::new(hash, object) };
        entries.try_insert(entry, &Marks).map_err(|Refused| OutOfMemory::System)
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

#[cfg(all(test, heap_loom))]
#[path = "tests/loom_weak.rs"]
mod loom_weak;
