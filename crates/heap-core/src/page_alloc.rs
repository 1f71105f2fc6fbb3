//! The page allocator: which 8 KiB pages of which arenas are free.
//!
//! Allocation is address-ordered first fit over all arenas, which keeps the heap
//! dense at low addresses and lets high arenas run empty. A run never crosses an
//! arena. The allocator is pure bookkeeping: it never touches the pages, and
//! takes no lock; the heap keeps it behind one.
//!
//! Every arena has a bitmap of free pages and a bitmap of those among them that
//! have no memory behind them, *scavenged* ones. Fresh pages count as scavenged:
//! both read as zero and cost the system nothing, and so one bit per page tells
//! whether it must be zeroed and what it adds to the resident memory. Summaries of 64,
//! 512, 4096 and 8192 pages and a tree over the arenas find a run in logarithmic
//! time; a hint below which nothing is free makes the common case shorter still.
//!
//! Invariants, which [`PageAlloc::check`] verifies by a recount:
//! * P1: arenas are sorted by address and do not overlap.
//! * P2: only usable pages are free; only free pages are scavenged.
//! * P3: every summary equals a recount of the bitmap below it.
//! * P4: the tree over the arenas equals their longest runs.
//! * P5: the counters of free, scavenged and mapped pages equal a recount.
//! * P6: no free page lies below the hint.
//!
//! The design follows Go's (`mpagealloc.go`, `mgcscavenge.go`); unlike there the
//! summaries are owned by their arena, since our runs do not cross arenas.

mod arena;
mod check;
mod index;
mod summary;
#[cfg(test)]
mod tests;

use crate::fixalloc::try_box;
use crate::geometry::{ARENA_PAGES, PAGE_SIZE};
use arena::{Arena, Backing, HUGE, WORD};
use index::Index;
use std::ops::Range;
use summary::find_run;

/// A run of pages that was allocated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageRun {
    /// The address of the first page.
    pub base: usize,
    /// The length in pages.
    pub npages: usize,
    /// How many of the pages had no memory behind them; touching the run adds
    /// that many pages to the resident memory.
    pub scavenged_pages: usize,
    /// Whether some page may hold old data. A run without it reads as zero.
    pub needs_zero: bool,
}

/// Which part of the free memory a scavenger gives back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScavengeScope {
    /// Only whole huge pages, which the system takes back without splitting one.
    HugePages,
    /// Whole huge pages while there are any, then smaller runs.
    AllPages,
}

/// Which free pages are worth giving back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScavengePolicy {
    /// The part of the free memory to search.
    pub scope: ScavengeScope,
    /// The length of the system's own pages in heap pages, a power of two of at
    /// most 64. Only whole ones are returned.
    pub os_page: usize,
    /// Runs inside a chunk of 512 pages with at least this many in use are kept: the chunk is
    /// likely to fill up again.
    pub dense_chunk: usize,
}

impl ScavengePolicy {
    /// For a scavenger that runs beside the program: keeps the free pages of chunks that are
    /// 96.9 % in use or more.
    pub(crate) const BACKGROUND: ScavengePolicy =
        ScavengePolicy { scope: ScavengeScope::AllPages, os_page: 1, dense_chunk: 496 };

    /// For when memory must be given back: takes every free page.
    pub(crate) const FORCED: ScavengePolicy =
        ScavengePolicy { scope: ScavengeScope::AllPages, os_page: 1, dense_chunk: usize::MAX };
}

/// A page by the index of its arena and its own number there.
type Position = (usize, usize);

/// The page allocator; see the module documentation.
#[derive(Default)]
pub struct PageAlloc {
    /// The base addresses of `arenas`, kept apart so that a search stays in the cache.
    bases: Vec<usize>,
    #[allow(clippy::vec_box, reason = "a new arena in the middle moves pointers, not bitmaps")]
    arenas: Vec<Box<Arena>>,
    index: Index,
    /// No free page lies before this position.
    hint: Position,
    free: usize,
    scavenged: usize,
    mapped: usize,
}

impl PageAlloc {
    /// An allocator without arenas.
    #[must_use]
    pub fn new() -> Self {
        PageAlloc::default()
    }

    /// Adds an arena of `pages` pages at address `base`. Its pages are fresh:
    /// they read as zero. Those below `first_free_page` are the caller's. `None` if
    /// there is no memory for the arena's tables: then nothing has changed.
    ///
    /// # Panics
    /// If the arena is not aligned to a huge page, is longer than an arena may
    /// be, or overlaps another.
    #[must_use]
    pub fn try_add_arena(
        &mut self,
        base: usize,
        first_free_page: usize,
        pages: usize,
    ) -> Option<()> {
        assert!(base.is_multiple_of(HUGE * PAGE_SIZE), "arena at {base:#x} is not aligned");
        assert!(pages <= ARENA_PAGES && first_free_page <= pages, "arena of {pages} pages");
        let at = self.bases.partition_point(|&other| other < base);
        let clear_below = at == 0 || {
            let below = &self.arenas[at - 1];
            below.address(below.usable.end) <= base
        };
        let clear_above = self.bases.get(at).is_none_or(|&above| base + pages * PAGE_SIZE <= above);
        assert!(clear_below && clear_above, "arena at {base:#x} overlaps another");

        self.bases.try_reserve(1).ok()?;
        self.arenas.try_reserve(1).ok()?;
        self.index.reserve(self.arenas.len() + 1)?;
        let arena = try_box(Arena::new(base, first_free_page..pages))?;
        self.free += arena.free_pages;
        self.scavenged += arena.scavenged_pages;
        self.mapped += pages;
        self.bases.insert(at, base);
        self.arenas.insert(at, arena);
        self.rebuild_index();
        if at <= self.hint.0 {
            self.hint = (at, first_free_page);
        }
        Some(())
    }

    /// Removes the arena at `base`, so that the caller may unmap it.
    ///
    /// # Panics
    /// If there is no such arena or one of its usable pages is not free.
    pub(crate) fn remove_arena(&mut self, base: usize) {
        let Ok(at) = self.bases.binary_search(&base) else { panic!("no arena at {base:#x}") };
        assert!(self.arenas[at].is_empty(), "arena at {base:#x} is in use");
        let arena = self.arenas.remove(at);
        self.bases.remove(at);
        self.free -= arena.free_pages;
        self.scavenged -= arena.scavenged_pages;
        self.mapped -= arena.usable.end;
        self.rebuild_index();
        if self.hint.0 >= at {
            // The arenas behind it have moved down by one.
            self.hint = if self.hint.0 == at { (at, 0) } else { (self.hint.0 - 1, self.hint.1) };
        }
    }

    /// Pages in a row, `most` of them at most, that were allocated some time, and were not returned
    /// by this before: the address of the first, and how many.
    pub(crate) fn take_unprepared(&mut self, most: usize) -> Option<(usize, usize)> {
        self.arenas.iter_mut().find_map(|arena| {
            let pages = arena.take_unprepared(most)?;
            Some((arena.address(pages.start), pages.len()))
        })
    }

    /// Whether [`PageAlloc::take_unprepared`] would return pages.
    pub(crate) fn has_unprepared(&self) -> bool {
        self.arenas.iter().any(|arena| arena.has_unprepared())
    }

    /// Allocates the lowest free run of `npages` pages, or `None` if no arena has one; but if the
    /// stripe of 64 pages with the lowest free page has a run
    /// that begins at its page `from` or after, the lowest of those. So a mutator that prefers
    /// a part of each stripe gets it, and the heap stays about as dense.
    ///
    /// # Panics
    /// If `npages` is 0, or `from` is not below 64.
    pub(crate) fn alloc_from(&mut self, npages: usize, from: usize) -> Option<PageRun> {
        assert!(npages > 0, "a run of no pages");
        assert!(from < WORD, "page {from} of a stripe of {WORD}");
        let (arena, page) = self.first_free()?;
        let word = self.arenas[arena].free[page / WORD];
        let found = if npages <= WORD
            && let Some(bit) =
                find_run(word & u64::MAX << from, npages).or_else(|| find_run(word, npages))
        {
            // The first free page is in this word, so no run begins before the word.
            (arena, page / WORD * WORD + bit)
        } else {
            let arena =
                if self.index.get(arena) >= npages { arena } else { self.index.first(npages)? };
            (arena, self.arenas[arena].find(npages)?)
        };
        Some(self.take(found, npages))
    }

    /// Frees a run of pages, all of which have been allocated.
    ///
    /// # Panics
    /// If one of the pages is free already or not in an arena, which means that
    /// the heap is corrupt.
    pub(crate) fn free(&mut self, base: usize, npages: usize) {
        self.put(base, npages, Backing::Dirty);
    }

    /// The bases of the arenas of which all usable pages are free, in address
    /// order, each with the number of its pages that have memory behind them.
    pub(crate) fn empty_arenas(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let empty = self.arenas.iter().filter(|arena| arena.is_empty());
        empty.map(|arena| (arena.base, arena.dirty_pages()))
    }

    /// The number of free pages.
    #[must_use]
    pub fn free_pages(&self) -> usize {
        self.free
    }

    /// The number of free pages without memory behind them.
    #[must_use]
    pub(crate) fn scavenged_pages(&self) -> usize {
        self.scavenged
    }

    /// Whether it has an arena at this base.
    pub(crate) fn has_arena(&self, base: usize) -> bool {
        self.bases.binary_search(&base).is_ok()
    }

    /// The number of arenas.
    #[must_use]
    pub(crate) fn arenas(&self) -> usize {
        self.arenas.len()
    }

    /// Chooses a free run that is worth giving back to the system, and allocates
    /// it so that it is not allocated otherwise.
    ///
    /// The run is about `max_pages` long at most; a huge page is never split, so
    /// one huge page may be returned for a smaller limit. Higher addresses go
    /// first, as the allocator prefers the lower ones. The caller releases the
    /// lock, gives the memory back, and calls [`PageAlloc::finish_scavenge`], or
    /// [`PageAlloc::free`] if that failed. Some pages of the run may be without
    /// memory already (`scavenged_pages`).
    ///
    /// # Panics
    /// If the policy's `os_page` is not a power of two of at most 64.
    pub(crate) fn take_scavenge_candidate(
        &mut self,
        max_pages: usize,
        policy: &ScavengePolicy,
    ) -> Option<PageRun> {
        assert!(policy.os_page.is_power_of_two() && policy.os_page <= WORD);
        if self.free == self.scavenged {
            return None;
        }
        let highest = |choose: &dyn Fn(&Arena) -> Option<Range<usize>>| {
            self.arenas.iter().enumerate().rev().find_map(|(i, arena)| Some((i, choose(arena)?)))
        };
        let huge = highest(&|arena| arena.highest_free_huge_pages(max_pages));
        let (arena, pages) = match policy.scope {
            ScavengeScope::HugePages => huge,
            ScavengeScope::AllPages => {
                huge.or_else(|| highest(&|arena| arena.highest_dirty_run(max_pages, policy)))
            }
        }?;
        Some(self.take((arena, pages.start), pages.len()))
    }

    /// Frees a run of which the memory was given back to the system. From now on its
    /// pages count as reading as zero and costing nothing, like fresh ones.
    ///
    /// # Panics
    /// As [`PageAlloc::free`].
    pub(crate) fn finish_scavenge(&mut self, run: PageRun) {
        self.put(run.base, run.npages, Backing::Scavenged);
    }

    /// The first free page; makes the hint exact.
    fn first_free(&mut self) -> Option<Position> {
        let (arena, page) = self.hint;
        let word = self.arenas.get(arena).and_then(|a| a.free.get(page / WORD)).copied();
        self.hint = if let Some(word @ 1..) = word {
            (arena, page / WORD * WORD + word.trailing_zeros() as usize)
        } else {
            let first = self.index.first(1)?;
            (first, self.arenas[first].find(1)?)
        };
        Some(self.hint)
    }

    fn take(&mut self, (arena, page): Position, npages: usize) -> PageRun {
        let run = self.update(arena, |a| a.take(page, npages));
        if self.hint == (arena, page) {
            self.hint.1 += npages;
        }
        run
    }

    fn put(&mut self, base: usize, npages: usize, backing: Backing) {
        let (arena, page) = self.position(base);
        self.update(arena, |a| a.put(page, npages, backing));
        self.hint = self.hint.min((arena, page));
    }

    /// Changes one arena, and updates counters and index.
    fn update<R>(&mut self, at: usize, change: impl FnOnce(&mut Arena) -> R) -> R {
        let arena = &mut self.arenas[at];
        let (free, scavenged) = (arena.free_pages, arena.scavenged_pages);
        let result = change(arena);
        self.free = self.free - free + arena.free_pages;
        self.scavenged = self.scavenged - scavenged + arena.scavenged_pages;
        self.index.set(at, arena.root.max());
        result
    }

    /// The arena and page at an address.
    fn position(&self, address: usize) -> Position {
        let at = self.bases.partition_point(|&base| base <= address);
        assert!(at > 0 && address.is_multiple_of(PAGE_SIZE), "no page begins at {address:#x}");
        (at - 1, (address - self.bases[at - 1]) / PAGE_SIZE)
    }

    /// As [`PageAlloc::try_add_arena`], for tests that have memory.
    #[cfg(test)]
    pub(crate) fn add_arena(&mut self, base: usize, first_free_page: usize, pages: usize) {
        self.try_add_arena(base, first_free_page, pages).expect("memory");
    }

    /// Breaks P5, for tests of the verifier.
    #[cfg(all(test, not(heap_loom)))]
    pub(crate) fn miscount(&mut self) {
        self.free += 1;
    }

    fn rebuild_index(&mut self) {
        self.index.rebuild(self.arenas.iter().map(|arena| arena.root.max()));
    }
}

impl std::fmt::Debug for PageAlloc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageAlloc")
            .field("arenas", &self.arenas.len())
            .field("mapped", &self.mapped)
            .field("free", &self.free)
            .field("scavenged", &self.scavenged)
            .finish_non_exhaustive()
    }
}
