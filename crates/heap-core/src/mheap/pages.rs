//! [`Pages`]: the data under a heap's page lock: regions, the page allocator,
//! and span records.
//!
//! With huge pages a heap has two sets of arenas. Those for *sparse* objects, large ones of which the
//! program may write to little, get small pages: with huge ones a single word would cost two megabytes.
//! The others are advised when they are reserved, so that a heap that grows touches a huge page at a
//! time.
//!
//! * U1: a page of an arena is free in the page allocator, covered by a span in
//!   use, part of the arena's head, or in flight: taken out temporarily by a
//!   thread that gives it back to the system.
//! * U2: a region is unmapped only when none of its pages is covered by a span
//!   or in flight.

use core::ptr::NonNull;

use heap_sync::lock::Arc;

use super::regions::Regions;
use super::{Fill, HugePages};
use crate::arena::HEADER_PAGES;
use crate::corrupt;
use crate::fixalloc::FixAlloc;
use crate::geometry::{ARENA_MASK, ARENA_PAGES, ARENA_SIZE, PAGE_SIZE};
use crate::mspan::Span;
use crate::os::{Os, Reservation};
use crate::page_alloc::{PageAlloc, PageRun, ScavengePolicy};

/// Sizes of arenas, tried in this order. Where address space is scarce (a limit
/// set by the administrator) an arena is only the first part of an aligned 64 MiB
/// slot; its head is as large as ever, 4.2 MiB of address space.
const ARENA_SIZES: [usize; 5] =
    [ARENA_SIZE, ARENA_SIZE / 2, ARENA_SIZE / 4, ARENA_SIZE / 8, SMALLEST_ARENA];
/// The head and a megabyte at least.
const SMALLEST_ARENA: usize = (HEADER_PAGES * PAGE_SIZE + (1 << 20)).next_multiple_of(1 << 20);

/// The part of an arena that is the only region, the head and some four megabytes of
/// objects, that gets no huge pages: with them a heap of a few kilobytes would be as
/// large as one of four megabytes.
const SMALL_HEAP: usize = 8 << 20;

/// Longer runs are huge objects, each in a region of its own.
const LONGEST_RUN: usize = ARENA_PAGES - HEADER_PAGES;

/// The data under the page lock.
#[derive(Debug, Default)]
pub(super) struct Pages {
    pub(super) alloc: PageAlloc,
    /// The arenas of sparse objects.
    pub(super) sparse: PageAlloc,
    pub(super) spans: FixAlloc<Span>,
    pub(super) regions: Regions,
    /// Pages in flight (U1) that have memory behind them.
    pub(super) in_flight: usize,
    /// Pages in flight that have none: a run may have holes (SC2).
    pub(super) in_flight_released: usize,
    /// Whether pages that count as released may still hold old data, because the system was
    /// offered some and may not have taken them.
    pub(super) released_may_be_dirty: bool,
}

// SAFETY: the span records in here are `Send`; only because the allocator keeps their
// addresses is it not `Send` by itself.
unsafe impl Send for Pages {}

/// Pages for a span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// The first byte, with provenance over the region.
    pub(super) base: NonNull<u8>,
    /// Whether the pages may hold old data.
    pub(super) needs_zero: bool,
}

impl Pages {
    /// Takes `npages` pages for something that is filled like this, from a new region if necessary;
    /// `from`: see [`PageAlloc::alloc_from`].
    pub(super) fn take(
        &mut self,
        os: &dyn Os,
        huge_pages: HugePages,
        fill: Fill,
        npages: usize,
        from: usize,
    ) -> Option<Run> {
        let is_sparse = fill == Fill::Sparse && huge_pages != HugePages::Never;
        let huge_pages = if is_sparse { HugePages::Never } else { huge_pages };
        if npages > LONGEST_RUN {
            return self.take_huge(os, huge_pages, is_sparse, npages);
        }
        let run = match self.set_of(is_sparse).alloc_from(npages, from) {
            Some(run) => run,
            None => {
                let added = self.add_arena(os, huge_pages, is_sparse, npages);
                // Where there is no address space any more the others will do.
                let set = self.set_of(is_sparse == added.is_some());
                set.alloc_from(npages, from)?
            }
        };
        Some(Run { base: self.pointer(run.base), needs_zero: self.needs_zero(&run) })
    }

    fn set_of(&mut self, is_sparse: bool) -> &mut PageAlloc {
        if is_sparse { &mut self.sparse } else { &mut self.alloc }
    }

    /// Those that have the arena of an address.
    pub(super) fn set_at(&mut self, address: usize) -> &mut PageAlloc {
        let is_sparse = self.sparse.has_arena(address & !ARENA_MASK);
        self.set_of(is_sparse)
    }

    /// Both sets of arenas.
    pub(super) fn sets(&self) -> [&PageAlloc; 2] {
        [&self.alloc, &self.sparse]
    }

    /// See [`PageAlloc::take_unprepared`].
    pub(super) fn take_unprepared(&mut self, most: usize) -> Option<(usize, usize)> {
        self.alloc.take_unprepared(most).or_else(|| self.sparse.take_unprepared(most))
    }

    /// See [`PageAlloc::empty_arenas`].
    pub(super) fn empty_arenas(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.sets().into_iter().flat_map(PageAlloc::empty_arenas)
    }

    fn needs_zero(&self, run: &PageRun) -> bool {
        run.needs_zero || self.released_may_be_dirty
    }

    /// The region of an address, which stays mapped as long as it is held.
    pub(super) fn region(&self, address: usize) -> Option<Arc<Reservation>> {
        self.regions.find(address).map(Arc::clone)
    }

    /// A pointer to an address in a region.
    pub(super) fn pointer(&self, address: usize) -> NonNull<u8> {
        let Some(region) = self.regions.find(address) else {
            corrupt!("RG1: the page allocator handed out {address:#x}, which is in no region");
        };
        // SAFETY: the address is within the region.
        unsafe { region.base().add(address - region.base().addr().get()) }
    }

    /// Adds an arena in which a run of `npages` pages fits.
    #[cold]
    fn add_arena(
        &mut self,
        os: &dyn Os,
        huge_pages: HugePages,
        is_sparse: bool,
        npages: usize,
    ) -> Option<()> {
        let wanted = (HEADER_PAGES + npages) * PAGE_SIZE;
        let mut sizes = ARENA_SIZES.into_iter().filter(|&bytes| bytes >= wanted);
        let arena = sizes.find_map(|bytes| os.reserve(bytes, ARENA_SIZE))?;
        if huge_pages != HugePages::Never {
            let head = match huge_pages {
                HugePages::ObjectsAndMarks => 0,
                HugePages::Never | HugePages::Objects => HEADER_PAGES * PAGE_SIZE,
            };
            let small = if self.alloc.arenas() == 0 { SMALL_HEAP } else { head };
            if small < arena.bytes() {
                // SAFETY: within the reservation.
                let from = unsafe { arena.base().add(small) };
                os.advise_huge(&arena, from, arena.bytes() - small);
            }
        }
        if is_sparse {
            os.advise_small(&arena, arena.base(), arena.bytes());
        }
        let (base, pages) = (arena.base().addr().get(), arena.bytes() / PAGE_SIZE);
        self.regions.insert(arena).ok()?;
        if self.set_of(is_sparse).try_add_arena(base, HEADER_PAGES, pages).is_none() {
            drop(self.regions.remove(base));
            return None;
        }
        Some(())
    }

    #[cold]
    fn take_huge(
        &mut self,
        os: &dyn Os,
        huge_pages: HugePages,
        is_sparse: bool,
        npages: usize,
    ) -> Option<Run> {
        // The head and the object's start are within one arena size, so that the head
        // is found from the object like any other.
        let bytes = npages.checked_add(HEADER_PAGES)?.checked_mul(PAGE_SIZE)?;
        let region = os.reserve(bytes, ARENA_SIZE)?;
        // SAFETY: within the reservation.
        let base = unsafe { region.base().add(HEADER_PAGES * PAGE_SIZE) };
        if huge_pages != HugePages::Never {
            // Of the head only a few pages are used.
            os.advise_huge(&region, base, npages * PAGE_SIZE);
        }
        if is_sparse {
            os.advise_small(&region, base, npages * PAGE_SIZE);
        }
        self.regions.insert(region).ok()?;
        Some(Run { base, needs_zero: false })
    }

    /// Takes the pages of a span back. The region of a huge object is returned:
    /// the caller drops it, and so unmaps it, after unlocking.
    #[must_use]
    pub(super) fn put(&mut self, base: usize, npages: usize) -> Option<Arc<Reservation>> {
        if npages > LONGEST_RUN {
            let region = self.regions.remove(base & !ARENA_MASK);
            if region.is_none() {
                corrupt!("RG1: the huge object at {base:#x} is in no region");
            }
            return region;
        }
        self.set_at(base).free(base, npages);
        None
    }

    /// Free pages with memory behind them, those in flight included.
    pub(super) fn idle_pages(&self) -> usize {
        let idle = |set: &PageAlloc| set.free_pages() - set.scavenged_pages();
        self.sets().map(idle).iter().sum::<usize>() + self.in_flight
    }

    /// Free pages without memory, those in flight included.
    pub(super) fn released_pages(&self) -> usize {
        let released = self.sets().map(PageAlloc::scavenged_pages);
        released.iter().sum::<usize>() + self.in_flight_released
    }

    /// Takes an empty arena out of the heap: the highest for which `wanted` returns `true`,
    /// given the number of its idle pages. Returns it, to be dropped after unlocking, with
    /// that number.
    #[must_use]
    pub(super) fn remove_empty_arena(
        &mut self,
        wanted: impl Fn(usize) -> bool,
    ) -> Option<(Arc<Reservation>, usize)> {
        // U2: all of its pages are free, so none is in flight or covered by a span.
        let (base, idle) = self.empty_arenas().filter(|&(_, idle)| wanted(idle)).last()?;
        self.set_at(base).remove_arena(base);
        let region = self.regions.remove(base);
        if region.is_none() {
            corrupt!("RG1: the arena at {base:#x} is in no region");
        }
        region.map(|region| (region, idle))
    }

    /// Takes out a run that is worth giving back to the system (U1: it is in
    /// flight until `finish_scavenge`), with the region that keeps it mapped.
    pub(super) fn begin_scavenge(
        &mut self,
        max_pages: usize,
        policy: &ScavengePolicy,
    ) -> Option<(PageRun, Arc<Reservation>)> {
        let sparse = self.sparse.take_scavenge_candidate(max_pages, policy);
        let run = sparse.or_else(|| self.alloc.take_scavenge_candidate(max_pages, policy))?;
        let Some(region) = self.regions.find(run.base) else {
            corrupt!("RG1: the page allocator chose {:#x}, which is in no region", run.base);
        };
        self.in_flight += run.npages - run.scavenged_pages;
        self.in_flight_released += run.scavenged_pages;
        Some((run, Arc::clone(region)))
    }

    /// Puts a run in flight back, with or without its memory.
    pub(super) fn finish_scavenge(&mut self, run: PageRun, released: bool) {
        self.in_flight -= run.npages - run.scavenged_pages;
        self.in_flight_released -= run.scavenged_pages;
        if released {
            self.set_at(run.base).finish_scavenge(run);
        } else {
            self.set_at(run.base).free(run.base, run.npages);
        }
    }
}
