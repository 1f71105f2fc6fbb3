//! Owned roots: a table of objects that are alive because an entry of it is held.
//!
//! Entries carry the object's address themselves, so reading one takes no lock;
//! the table is for the collector. Entries may outlive the heap.
//!
//! An entry and its clones share a cell, and the cell counts them: to clone an entry, and to drop one that is
//! not the last, takes no lock either.
//!
//! The table is a list of blocks of 64 cells with a bit map each. A block without roots is
//! freed, and the list has no gaps, so a collection visits at most one block per root, however
//! many there have been.
//!
//! A collection visits the blocks a few at a time, and mutators may run in between. The snapshot that
//! it marks has the roots of its beginning (B1): before a block changes that was not visited, its
//! roots are noted.
//!
//! * R1: an object is in the table from the creation of an entry until its drop.
//! * RT1: an entry's block is in its table's list until the entry is dropped; a block is touched under
//!   the table's lock only, but for the counts of cells that have entries.
//! * RT2: in the list full blocks come first; `Block::position` is the block's index in it.
//! * RT3: a block in the list has a root.
//! * RT4: while roots are visited, a root that was there at the beginning and was not visited is
//!   noted, or stands in a block of the list between `next` and `visit_end` that was not visited. Such a
//!   block does not move. A block that is added meanwhile counts as visited, so there are at most as
//!   many notes as places in the blocks of the beginning, and there is room for them: to drop a root
//!   takes no memory.
//! * RT5: the count of a cell is the number of its entries, which name the same object. The first
//!   takes a share of the table for all of them; the last clears the cell and gives the share up.
//!
//! Model: `tests/loom_roots.rs`.

use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;

use heap_core::error::OutOfMemory;
use heap_core::shrink::shrink_to;
use heap_sync::atomic::{AtomicU32, Ordering};
use heap_sync::lock::Mutex;

use crate::mark::Seeds;

/// Blocks that are visited at a time: some ten microseconds, without marking. In builds with
/// assertions one, so that the few roots of tests are visited in several slices.
const BLOCKS_VISITED: usize = if cfg!(debug_assertions) { 1 } else { 16 };

/// Cells of a block.
const CELLS: usize = u64::BITS as usize;

/// A block of roots.
#[derive(Debug)]
struct Block {
    /// A bit per cell: whether it has a root.
    used: u64,
    /// RT2.
    position: usize,
    /// The last collection by which it was visited, or its roots noted.
    visited: u64,
    cells: [NonNull<u8>; CELLS],
}

impl Block {
    fn is_full(&self) -> bool {
        self.used == u64::MAX
    }

    /// Calls `visit` with every root.
    fn each(&self, visit: &mut dyn FnMut(NonNull<u8>)) {
        let mut used = self.used;
        while used != 0 {
            visit(self.cells[used.trailing_zeros() as usize]);
            used &= used - 1;
        }
    }
}

/// A block and the entries that its cells have, which are counted without the lock (RT5).
#[derive(Debug)]
struct Counted {
    counts: [AtomicU32; CELLS],
    block: UnsafeCell<Block>,
}

/// A block, by its address: entries have it too.
type BlockPtr = NonNull<Counted>;

/// So many entries share a cell: far from an overflow, whichever threads clone one at the same time.
const SHARED_MOST: u32 = u32::MAX / 2;

/// Counts another entry of a cell; no more than [`SHARED_MOST`].
#[inline]
fn share(count: &AtomicU32) -> bool {
    // ORDERING: Relaxed: the new entry is made of one that there is, and goes to other threads in
    // ways that synchronise.
    if count.fetch_add(1, Ordering::Relaxed) < SHARED_MOST {
        return true;
    }
    count.fetch_sub(1, Ordering::Relaxed);
    false
}

/// Counts an entry no more. Says whether it was the cell's last.
#[inline]
fn give_up(count: &AtomicU32) -> bool {
    // ORDERING: Release pairs with the Acquire below and in `is_alone`: the object was used for the
    // last time before, and may be freed after.
    // Model: loom_roots::the_last_entry_ends_the_root.
    if count.fetch_sub(1, Ordering::Release) != 1 {
        return false;
    }
    let _ = count.load(Ordering::Acquire);
    true
}

/// Whether an entry, which is the caller's alone, is the only one of its cell.
#[inline]
fn is_alone(count: &AtomicU32) -> bool {
    // ORDERING: Acquire pairs with the Release in `give_up`.
    count.load(Ordering::Acquire) == 1
}

/// The roots of one heap.
#[derive(Debug, Default)]
pub(crate) struct RootSet {
    blocks: Mutex<Blocks>,
}

#[derive(Debug, Default)]
struct Blocks {
    list: Vec<BlockPtr>,
    /// How many at the start of the list are full.
    full: usize,
    /// An empty block, not in the list, so that a root that comes and goes allocates nothing.
    spare: Option<BlockPtr>,
    /// The number of the last collection.
    collection: u64,
    /// The first block that it has not come to, while it visits them.
    next: Option<usize>,
    /// How many blocks there were when the visit began. Those behind them are new, or were noted.
    visit_end: usize,
    /// Roots of blocks that have changed before they were visited (RT4). Without room for them all
    /// roots are visited at once.
    noted: Vec<NonNull<u8>>,
}

// SAFETY: the blocks belong to the table, which is locked; the pointers in them are only data
// here: they are followed by the collector.
unsafe impl Send for Blocks {}

impl Blocks {
    /// The block.
    ///
    /// # Safety
    ///
    /// It is one of this table and was not freed (RT1).
    unsafe fn block(&mut self, block: BlockPtr) -> &mut Block {
        // SAFETY: the caller's promise; `&mut self` is the lock, and the borrow is of `self`, so it
        // is the only one.
        unsafe { &mut *block.as_ref().block.get() }
    }

    /// The count of a cell.
    ///
    /// # Safety
    ///
    /// As [`Blocks::block`].
    unsafe fn count(&self, block: BlockPtr, cell: usize) -> &AtomicU32 {
        // SAFETY: the caller's promise; blocks are freed through `&mut self`.
        unsafe { &block.as_ref().counts[cell] }
    }

    /// A cell for a new root; none if the system refuses the memory.
    fn add(&mut self, object: NonNull<u8>) -> Option<(BlockPtr, u8)> {
        let ptr = match self.list.get(self.full) {
            Some(block) => *block,
            None => self.grow(object)?,
        };
        // SAFETY: it is in the list, or was just made.
        let block = unsafe { self.block(ptr) };
        let cell = (!block.used).trailing_zeros() as usize;
        block.used |= 1 << cell;
        block.cells[cell] = object;
        // RT2: the first block that is not full is the first of the rest.
        let became_full = block.is_full();
        self.full += usize::from(became_full);
        // SAFETY: as above.
        unsafe { self.count(ptr, cell) }.store(1, Ordering::Relaxed);
        Some((ptr, cell as u8))
    }

    /// An empty block at the end of the list.
    #[cold]
    fn grow(&mut self, fill: NonNull<u8>) -> Option<BlockPtr> {
        self.list.try_reserve(1).ok()?;
        let position = self.list.len();
        let ptr = match self.spare.take() {
            Some(spare) => spare,
            None => {
                let mut place = Vec::new();
                place.try_reserve_exact(1).ok()?;
                let block = Block { used: 0, position, visited: 0, cells: [fill; CELLS] };
                let counts = std::array::from_fn(|_| AtomicU32::new(0));
                place.push(Counted { counts, block: UnsafeCell::new(block) });
                // A vector of one is a box of a slice of one.
                NonNull::from(Box::leak(place.into_boxed_slice())).cast()
            }
        };
        let collection = self.collection;
        // SAFETY: it was the spare block, or was just made.
        let block = unsafe { self.block(ptr) };
        block.position = position;
        // No root of it was there when the visit began.
        block.visited = collection;
        self.list.push(ptr);
        Some(ptr)
    }

    /// Takes a root out.
    ///
    /// # Safety
    ///
    /// The cell is that of an entry of this table, which is being dropped.
    unsafe fn remove(&mut self, ptr: BlockPtr, cell: u8) {
        // SAFETY: RT1: the entry is not gone yet.
        let block = unsafe {
            self.note(ptr);
            self.block(ptr)
        };
        let was_full = block.is_full();
        block.used &= !(1 << cell);
        let (is_empty, position) = (block.used == 0, block.position);
        if was_full {
            self.full -= 1;
            self.swap(position, self.full);
        }
        if is_empty {
            // It is among the rest: a full block has 64 roots.
            let last = self.list.len() - 1;
            // SAFETY: it is in the list.
            let position = unsafe { self.block(ptr) }.position;
            self.swap(position, last);
            self.list.pop();
            if self.list.capacity() > CELLS && self.list.len() * 4 < self.list.capacity() {
                let room = self.list.len() * 2;
                shrink_to(&mut self.list, room);
            }
            if self.spare.is_none() {
                self.spare = Some(ptr);
            } else {
                // SAFETY: made by `grow` from a box of a slice of one, which is laid out as a box of
                // one; it has no entry (RT1), and is neither in the list nor the spare one.
                drop(unsafe { Box::from_raw(ptr.as_ptr()) });
            }
        }
    }

    /// Notes the roots of a block that is about to change or to move, if roots are visited and it
    /// was not (RT4).
    ///
    /// # Safety
    ///
    /// As [`Blocks::block`].
    unsafe fn note(&mut self, ptr: BlockPtr) {
        if self.next.is_none() {
            return;
        }
        let (collection, mut noted) = (self.collection, std::mem::take(&mut self.noted));
        // SAFETY: forwarded from the caller.
        let block = unsafe { self.block(ptr) };
        if block.visited != collection {
            block.visited = collection;
            block.each(&mut |object| noted.push(object));
        }
        self.noted = noted;
    }

    /// Swaps two blocks of the list (RT2).
    fn swap(&mut self, a: usize, b: usize) {
        if a == b {
            return;
        }
        for at in [a, b] {
            // SAFETY: it is in the list.
            unsafe { self.note(self.list[at]) };
        }
        self.list.swap(a, b);
        for at in [a, b] {
            let ptr = self.list[at];
            // SAFETY: it is in the list.
            unsafe { self.block(ptr) }.position = at;
        }
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        // Entries keep the table, so there is none, and RT3 says that the list is empty.
        debug_assert!(self.list.is_empty(), "RT1");
        if let Some(ptr) = self.spare.take() {
            // SAFETY: made by `grow` from a box, and no entry has its address any more.
            drop(unsafe { Box::from_raw(ptr.as_ptr()) });
        }
    }
}

impl RootSet {
    /// Calls `visit` with every rooted object.
    pub(crate) fn each(&self, mut visit: impl FnMut(NonNull<u8>)) {
        let mut blocks = self.blocks.lock();
        for at in 0..blocks.list.len() {
            let ptr = blocks.list[at];
            // SAFETY: it is in the list.
            unsafe { blocks.block(ptr) }.each(&mut visit);
        }
    }

    /// Begins to visit the roots of a collection.
    pub(crate) fn begin_visit(&self) {
        let mut blocks = self.blocks.lock();
        debug_assert!(blocks.next.is_none() && blocks.noted.is_empty(), "RT4");
        blocks.collection += 1;
        blocks.next = Some(0);
        blocks.visit_end = blocks.list.len();
        let most = blocks.visit_end * CELLS;
        let _ = blocks.noted.try_reserve_exact(most);
    }

    /// Calls `visit` with some of the roots that were there when the visit began, perhaps with
    /// others as well. Says whether there are more.
    pub(crate) fn visit_some(&self, visit: &mut dyn FnMut(NonNull<u8>)) -> Seeds {
        let mut blocks = self.blocks.lock();
        let Some(next) = blocks.next else { return Seeds::Done };
        let last = blocks.visit_end.min(blocks.list.len());
        let has_room = blocks.noted.capacity() >= blocks.visit_end * CELLS;
        let end = if has_room { (next + BLOCKS_VISITED).min(last) } else { last };
        for at in next..end {
            let (ptr, collection) = (blocks.list[at], blocks.collection);
            // SAFETY: it is in the list.
            let block = unsafe { blocks.block(ptr) };
            if block.visited != collection {
                block.visited = collection;
                block.each(visit);
            }
        }
        let rest = blocks.noted.len().saturating_sub(BLOCKS_VISITED * CELLS);
        blocks.noted.drain(rest..).for_each(visit);
        if end < last || rest > 0 {
            blocks.next = Some(end);
            return Seeds::More;
        }
        blocks.next = None;
        blocks.noted = Vec::new();
        Seeds::Done
    }

    /// Number of roots. Looks at all of them.
    pub(crate) fn len(&self) -> usize {
        let mut blocks = self.blocks.lock();
        let mut len = 0;
        for at in 0..blocks.list.len() {
            let ptr = blocks.list[at];
            // SAFETY: it is in the list.
            let used = unsafe { blocks.block(ptr) }.used;
            for cell in (0..CELLS).filter(|cell| used >> cell & 1 == 1) {
                // SAFETY: as above.
                len += unsafe { blocks.count(ptr, cell) }.load(Ordering::Relaxed) as usize;
            }
        }
        len
    }
}

/// One root. Dropping it, on any thread, ends it.
#[derive(Debug)]
pub struct RootEntry {
    /// Of the cell (RT5): dropped with its last entry.
    set: ManuallyDrop<Arc<RootSet>>,
    block: BlockPtr,
    cell: u8,
    object: NonNull<u8>,
}

// SAFETY: an address, and a place in a locked table that is the cell's entries' until they are
// dropped; its count is atomic.
unsafe impl Send for RootEntry {}
// SAFETY: `&RootEntry` reads its own fields, and the count.
unsafe impl Sync for RootEntry {}

impl RootEntry {
    /// Roots an object.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory.
    ///
    /// # Safety
    ///
    /// `object` is the start of a live object of the heap that has these roots, or lies in a slot
    /// that objects share; with provenance over its arena. The caller is inside, or has another root
    /// for the object.
    pub(crate) unsafe fn try_new(
        set: &Arc<RootSet>,
        object: NonNull<u8>,
    ) -> Result<RootEntry, OutOfMemory> {
        let (block, cell) = set.blocks.lock().add(object).ok_or(OutOfMemory::System)?;
        Ok(RootEntry { set: ManuallyDrop::new(Arc::clone(set)), block, cell, object })
    }

    /// How many entries the cell has.
    #[inline(always)]
    fn count(&self) -> &AtomicU32 {
        // SAFETY: RT1: the block is there as long as this entry.
        unsafe { &self.block.as_ref().counts[usize::from(self.cell)] }
    }

    /// Another root for the object.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory.
    #[inline]
    pub fn try_clone(&self) -> Result<RootEntry, OutOfMemory> {
        if !share(self.count()) {
            // SAFETY: an object that this entry keeps alive (R1), whether a mutator is inside or not.
            return unsafe { RootEntry::try_new(&self.set, self.object) };
        }
        let RootEntry { set, block, cell, object } = self;
        // SAFETY: a share of the table that is not dropped before the last entry of the cell, of
        // which this is one (RT5).
        let set = unsafe { std::ptr::read(set) };
        Ok(RootEntry { set, block: *block, cell: *cell, object: *object })
    }

    /// The object.
    #[inline(always)]
    #[must_use]
    pub fn object(&self) -> NonNull<u8> {
        self.object
    }

    /// Names another object. Clones of the entry go on naming the one that they have.
    ///
    /// # Errors
    ///
    /// If there are clones, and the system refuses the memory.
    ///
    /// # Safety
    ///
    /// As [`Mutator::try_root`](crate::Mutator::try_root), with a mutator that
    /// [owns](crate::Mutator::owns) the entry.
    pub unsafe fn try_set(&mut self, object: NonNull<u8>) -> Result<(), OutOfMemory> {
        if !is_alone(self.count()) {
            // SAFETY: forwarded from the caller.
            *self = unsafe { RootEntry::try_new(&self.set, object) }?;
            return Ok(());
        }
        self.object = object;
        let mut blocks = self.set.blocks.lock();
        // SAFETY: RT1: this entry is not dropped.
        let block = unsafe {
            blocks.note(self.block);
            blocks.block(self.block)
        };
        block.cells[usize::from(self.cell)] = object;
        Ok(())
    }

    /// The last entry of the cell ends.
    #[cold]
    #[inline(never)]
    fn end(&mut self) {
        // SAFETY: the cell has no other entry, and this one ends here; and so does its share of
        // the table (RT5), which is not used again.
        unsafe {
            self.set.blocks.lock().remove(self.block, self.cell);
            ManuallyDrop::drop(&mut self.set);
        }
    }

    /// The table that the root is in.
    #[inline(always)]
    #[must_use]
    pub(crate) fn table(&self) -> *const RootSet {
        Arc::as_ptr(&self.set)
    }
}

impl Drop for RootEntry {
    fn drop(&mut self) {
        if give_up(self.count()) {
            self.end();
        }
    }
}

#[cfg(all(test, not(heap_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn object(n: usize) -> NonNull<u8> {
        NonNull::without_provenance(std::num::NonZero::new(n + 1).expect("not zero"))
    }

    fn entry(set: &Arc<RootSet>, object: NonNull<u8>) -> RootEntry {
        // SAFETY: no heap has this table, so no collector follows what is in it.
        unsafe { RootEntry::try_new(set, object) }.expect("memory")
    }

    /// RT2 and RT3, and what the table holds.
    fn check(set: &RootSet, entries: &[RootEntry]) {
        let mut blocks = set.blocks.lock();
        let list = blocks.list.clone();
        for (at, ptr) in list.into_iter().enumerate() {
            let full = blocks.full;
            // SAFETY: it is in the list.
            let block = unsafe { blocks.block(ptr) };
            assert_eq!(block.position, at, "RT2");
            assert_eq!(block.is_full(), at < full, "RT2");
            assert_ne!(block.used, 0, "RT3");
        }
        drop(blocks);
        assert_eq!(set.len(), entries.len(), "RT5");
        let mut there = Vec::new();
        set.each(|object| there.push(object));
        // Clones share a cell (RT5).
        let cells: HashMap<_, _> =
            entries.iter().map(|e| ((e.block, e.cell), e.object())).collect();
        assert!(entries.iter().all(|e| cells[&(e.block, e.cell)] == e.object()), "RT5");
        let mut expected: Vec<_> = cells.into_values().collect();
        there.sort_unstable();
        expected.sort_unstable();
        assert_eq!(there, expected, "R1");
    }

    proptest! {
        /// Entries come, change and go in any order.
        #[test]
        fn the_table_holds_what_entries_hold(
            steps in prop::collection::vec(any::<(u8, u16)>(), 0..800),
        ) {
            let set = Arc::new(RootSet::default());
            let mut entries: Vec<RootEntry> = Vec::new();
            for (n, (what, which)) in steps.into_iter().enumerate() {
                let which = usize::from(which) % entries.len().max(1);
                match what {
                    0..150 => entries.push(entry(&set, object(n))),
                    150..170 if !entries.is_empty() => entries.push(entries[which].try_clone().expect("memory")),
                    // SAFETY: as in `entry`.
                    170..190 if !entries.is_empty() => unsafe { entries[which].try_set(object(n)) }.expect("memory"),
                    190..=254 if !entries.is_empty() => drop(entries.swap_remove(which)),
                    255 => entries.truncate(which),
                    _ => {}
                }
                if n % 16 == 0 {
                    check(&set, &entries);
                }
            }
            check(&set, &entries);
            entries.clear();
            check(&set, &entries);
        }
    }

    proptest! {
        /// Entries come, change and go while roots are visited: those of the beginning are seen.
        #[test]
        fn what_was_rooted_at_the_beginning_is_visited(
            before in 0_usize..700,
            dropped in prop::collection::vec(any::<u16>(), 0..10),
            steps in prop::collection::vec(any::<(u8, u16)>(), 0..600),
        ) {
            let set = Arc::new(RootSet::default());
            let mut entries: Vec<RootEntry> = (0..before).map(|n| entry(&set, object(n))).collect();
            for which in dropped {
                if !entries.is_empty() {
                    entries.swap_remove(usize::from(which) % entries.len());
                }
            }
            for collection in 1..=2_usize {
                set.begin_visit();
                let beginning: Vec<_> = entries.iter().map(RootEntry::object).collect();
                let mut seen = std::collections::HashSet::new();
                let visit_some = |seen: &mut std::collections::HashSet<_>| {
                    set.visit_some(&mut |object| {
                        seen.insert(object);
                    })
                };
                let mut is_done = false;
                for (n, (what, which)) in steps.iter().enumerate() {
                    let new = object(1000 * collection + n);
                    let which = usize::from(*which) % entries.len().max(1);
                    match what {
                        0..60 => entries.push(entry(&set, new)),
                        60..90 if !entries.is_empty() => entries.push(entries[which].try_clone().expect("memory")),
                        // SAFETY: as in `entry`.
                        90..120 if !entries.is_empty() => unsafe { entries[which].try_set(new) }.expect("memory"),
                        120..240 if !entries.is_empty() => drop(entries.swap_remove(which)),
                        240..=255 if !is_done => is_done = visit_some(&mut seen) == Seeds::Done,
                        _ => {}
                    }
                }
                while !is_done {
                    is_done = visit_some(&mut seen) == Seeds::Done;
                }
                prop_assert!(beginning.iter().all(|object| seen.contains(object)), "RT4");
                prop_assert_eq!(visit_some(&mut seen), Seeds::Done);
                check(&set, &entries);
            }
        }
    }

    #[test]
    fn a_collection_visits_what_there_is_not_what_there_was() {
        for kept in [0, 63, 64, 5000, 99_999] {
            let set = Arc::new(RootSet::default());
            let mut all: Vec<_> = (0..100_000).map(|n| entry(&set, object(n))).collect();
            let one = all.swap_remove(kept);
            drop(all);
            let blocks = set.blocks.lock();
            assert_eq!(blocks.list.len(), 1, "blocks that a collection visits");
            assert!(blocks.list.capacity() <= 2 * CELLS, "{}", blocks.list.capacity());
            drop(blocks);
            check(&set, &[one]);
        }
    }
}

#[cfg(all(test, heap_loom))]
#[path = "tests/loom_roots.rs"]
mod loom_roots;
