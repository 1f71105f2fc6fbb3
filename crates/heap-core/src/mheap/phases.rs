//! The phases of a cycle: what changes for the whole heap when marking begins and when it ends.
//! Called by the collector, which has stopped the world.
//!
//! * Y1: the clock changes, and the bitmaps rotate, only with the world stopped
//!   and sweeping over.

use core::ptr::NonNull;

use heap_sync::atomic::Ordering;

use super::MHeap;
use crate::geometry::PAGE_SIZE;
use crate::location::Location;
use crate::mark_byte::PageMarks;
use crate::mcentral::SpanList;
use crate::page_alloc::PageAlloc;

impl MHeap {
    /// Has the system put memory behind the mark bytes of some pages that were not marked before, so
    /// that marking does not wait for it. Says whether there are more. The world runs.
    ///
    /// The unit is a mebibyte of the heap: 64 KiB of mark bytes, sixteen pages of most systems.
    ///
    /// # Safety
    ///
    /// No mark phase is under way, and no thread sweeps (Y1): mark bytes have no writers.
    pub unsafe fn prepare_marking(&self) -> bool {
        const PAGES: usize = (1 << 20) / PAGE_SIZE;
        /// Pages of the heap whose mark bytes fill a page of the system, at least.
        const STEP: usize = 4096 / size_of::<PageMarks>();
        let mut pages = self.pages.lock();
        let Some((first, count)) = pages.take_unprepared(PAGES) else { return false };
        let (base, region) = (pages.pointer(first), pages.region(first));
        let more = pages.sets().into_iter().any(PageAlloc::has_unprepared);
        drop(pages);
        for page in (0..count).step_by(STEP) {
            // SAFETY: within the run, in a region that stays mapped until `region` is dropped.
            let page = unsafe { Location::of(base.add(page * PAGE_SIZE)) };
            page.mark().touch();
        }
        drop(region);
        more
    }

    /// Prepares for marking: recycles bitmaps.
    ///
    /// # Panics
    ///
    /// If sweeping is not over.
    ///
    /// # Safety
    ///
    /// The world is stopped: no thread allocates in the heap or takes spans, and all caches
    /// are flushed (Y1).
    pub unsafe fn before_mark(&self) {
        assert!(self.sweep_is_over(), "Y1: a cycle starts only when everything is swept");
        // SAFETY: GB2: sweeping is over, and by the contract no thread begins to sweep.
        unsafe { self.bits.rotate() };
    }

    /// Begins an incremental mark phase, during which mutators run: from now on every new
    /// object is allocated black (M4).
    ///
    /// # Safety
    ///
    /// As [`MHeap::before_mark`]; marking is under way.
    pub unsafe fn begin_allocate_black(&self) {
        self.allocate_black.begin();
    }

    /// Marks an object that is marked already or was made since the mark phase began, before its
    /// span leaves the cache.
    ///
    /// # Safety
    ///
    /// `object` is the start of a live object of this heap, or lies in a slot that objects share;
    /// with provenance over its arena. [`MHeap::begin_allocate_black`] was called for the collection
    /// that is under way.
    pub unsafe fn mark_new(&self, object: NonNull<u8>) {
        // SAFETY: forwarded from the caller; what the object holds is marked, or new as well (M4).
        self.allocate_black.mark_one(unsafe { Location::of(object) });
    }

    /// Ends an incremental mark phase. Returns how many objects were allocated black, and the
    /// bytes of their slots.
    ///
    /// # Safety
    ///
    /// As [`MHeap::before_mark`]. Everything is marked that is reachable and not new.
    pub unsafe fn end_allocate_black(&self) -> (usize, usize) {
        self.allocate_black.end()
    }

    /// Starts the sweep phase after marking: every span needs sweeping. Returns how many pages
    /// have objects with destructors (DT2).
    ///
    /// # Safety
    ///
    /// As [`MHeap::before_mark`], which was called for this marking. Everything that is
    /// reachable is marked and traced; what is not is never used again.
    pub unsafe fn start_sweep(&self) -> usize {
        debug_assert!(!self.allocate_black.is_on(), "M4: marking is under way");
        self.set_retain_goal(0);
        let next = self.now().next();
        debug_assert!(self.unswept_lists_are_empty(), "G3: a span would miss two advances");
        // ORDERING: Relaxed: published by leaving the safepoint.
        self.clock.store(next.raw(), Ordering::Relaxed);
        self.cursors.iter().for_each(|cursor| cursor.store(0, Ordering::Relaxed));
        let undropped = self.pages_with_destructors();
        self.undropped_pages.store(undropped, Ordering::Relaxed);
        self.pages_swept_in_cycle.store(0, Ordering::Relaxed);
        self.active.reopen();
        undropped
    }

    fn unswept_lists_are_empty(&self) -> bool {
        let now = self.now();
        self.centrals().all(|central| {
            let full = central.full_unswept(now).all();
            full.chain(central.partial_unswept(now).all()).all(SpanList::is_empty)
        })
    }
}
