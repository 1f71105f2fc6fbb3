//! Runs of fresh pages with a record, charged against the limit; and their return.
//!
//! * Y2: `in_use_bytes`, with what objects own elsewhere as far as it counts, never exceeds the
//!   limit.

use core::ptr::NonNull;

use heap_sync::atomic::{AtomicUsize, Ordering};
use heap_sync::lock::Arc;
use heap_sync::thread::yield_now;

use super::pages::Run;
use super::{Destructors, Fill, MHeap};
use crate::asan;
use crate::error::OutOfMemory;
use crate::geometry::PAGE_SIZE;
use crate::location::Location;
use crate::mcentral::Central;
use crate::mspan::{Body, CachedSpan, Span};
use crate::os::Reservation;
use crate::partition::Partition;
use crate::size_class::SizeClass;
use crate::stats::SweepBy;

/// How often a refill at the limit yields to sweepers that may free pages.
const MAX_YIELDS: usize = 1000;

impl MHeap {
    /// A span of fresh pages. The slot of a large object counts as allocated from the
    /// start.
    pub(super) fn fresh_span(
        &self,
        central: &Central,
        fill: Fill,
        npages: usize,
        partition: Partition,
    ) -> Result<CachedSpan, OutOfMemory> {
        let count = || central.counts().grew(npages);
        let (span, run) = self.take_run(npages, fill, partition, count)?;
        let Run { base, needs_zero } = run;
        let class = central.class();
        let (nelems, slot_bytes, allocated) = match class {
            SizeClass::LARGE => (1, npages * PAGE_SIZE, 1),
            _ => (class.objects_per_span(), class.object_size(), 0),
        };
        let body = Body {
            base,
            npages,
            class,
            kind: central.kind(),
            central: NonNull::from(central),
            nelems,
            slot_bytes,
            free_index: allocated,
            alloc_bits: None,
            allocated,
            counted: 0,
            cached_at: 0,
            needs_zero,
        };
        let location = Location::of_span(&body);
        // SAFETY: a record fresh from the allocator, and pages that are in no other span.
        let cached = unsafe { CachedSpan::set_up(span, self.now(), body) };
        if allocated == 0 {
            asan::poison(base.as_ptr(), npages * PAGE_SIZE);
        }
        let first = location.page_index();
        location.arena().publish(first, npages, slot_bytes, body.kind, span);
        Ok(cached)
    }

    /// A span record and fresh pages for it, charged against the limit (Y2), at `partition` if
    /// there are some near; calls `count` under the page lock. Refuses only when everything
    /// is swept that an allocation may sweep.
    pub(super) fn take_run(
        &self,
        npages: usize,
        fill: Fill,
        partition: Partition,
        count: impl Fn(),
    ) -> Result<(NonNull<Span>, Run), OutOfMemory> {
        // Read first: pages that other threads free by sweeping after the attempt would be
        // missed.
        let is_swept = self.sweep_is_over();
        self.try_take_run(npages, fill, partition, &count).or_else(|refusal| {
            if is_swept || refusal == OutOfMemory::TooLarge {
                return Err(refusal);
            }
            self.sweep_for_pages();
            self.try_take_run(npages, fill, partition, &count)
        })
    }

    fn try_take_run(
        &self,
        npages: usize,
        fill: Fill,
        partition: Partition,
        count: &impl Fn(),
    ) -> Result<(NonNull<Span>, Run), OutOfMemory> {
        let mut pages = self.pages.lock();
        self.charge(npages)?;
        let taken = pages.spans.alloc(Span::dead).and_then(|record| {
            let from = self.partitions().first_page(partition);
            let run = pages.take(&*self.os, self.config.huge_pages, fill, npages, from);
            if run.is_none() {
                pages.spans.free(record);
            }
            Some((record, run?))
        });
        match taken {
            Some(_) => count(),
            // ORDERING: Relaxed: a count, changed under the page lock only.
            None => _ = self.stats.in_use_bytes.fetch_sub(npages * PAGE_SIZE, Ordering::Relaxed),
        }
        taken.ok_or(OutOfMemory::System)
    }

    /// Sweeps all that an allocation may sweep (DT1), for the pages of spans without live objects.
    #[cold]
    fn sweep_for_pages(&self) {
        self.sweep_all_of(Destructors::Leave, SweepBy::Collector);
        // Other threads may be about to free what they are sweeping. The wait is
        // bounded: one of their destructors may be waiting for this thread.
        for _ in 0..MAX_YIELDS {
            if self.active.tickets() == 0 {
                break;
            }
            yield_now();
        }
    }

    /// Charges `npages` against the limit (Y2). The caller has the page lock, under
    /// which all changes are made.
    fn charge(&self, npages: usize) -> Result<(), OutOfMemory> {
        let bytes = npages * PAGE_SIZE;
        // ORDERING: Relaxed: the page lock orders all changes.
        let in_use = self.stats.in_use_bytes.load(Ordering::Relaxed);
        in_use.checked_add(bytes).ok_or(OutOfMemory::TooLarge)?;
        self.check_limit(bytes)?;
        let after = self.stats.in_use_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.stats.in_use_bytes_max.fetch_max(after, Ordering::Relaxed);
        Ok(())
    }

    /// Charges bytes that an object owns elsewhere against the limit (Y2).
    ///
    /// # Errors
    ///
    /// If they exceed it.
    pub fn charge_elsewhere(&self, bytes: usize) -> Result<(), OutOfMemory> {
        let _pages = self.pages.lock();
        self.check_limit(bytes)?;
        self.elsewhere.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Whether there is room for `more` bytes below the limit (Y2). The caller has the page lock.
    fn check_limit(&self, more: usize) -> Result<(), OutOfMemory> {
        // ORDERING: Relaxed: the page lock orders all that is added.
        let in_use = self.stats.in_use_bytes.load(Ordering::Relaxed);
        let elsewhere = self.elsewhere.load(Ordering::Relaxed);
        let after = in_use.saturating_add(elsewhere).saturating_add(more);
        match self.config.max_bytes {
            Some(max) if after > max => Err(OutOfMemory::Limit),
            _ => Ok(()),
        }
    }

    /// The bytes that [`MHeap::charge_elsewhere`] has charged: whoever has charged some subtracts
    /// them when they are gone.
    #[must_use]
    pub fn elsewhere(&self) -> &Arc<AtomicUsize> {
        &self.elsewhere
    }

    /// Takes back the pages of a span that holds nothing.
    ///
    /// # Safety
    ///
    /// As [`MHeap::return_pages`], of a span with objects.
    pub(super) unsafe fn free_pages(&self, record: NonNull<Span>, body: &Body) {
        // SAFETY: Y3.
        let central = unsafe { body.central.as_ref() };
        let count = || central.counts().shrank(body.npages);
        // SAFETY: forwarded from the caller.
        let unmapped = unsafe { self.return_pages(record, body.base, body.npages, count) };
        // Unmapping is slow, so it happens after unlocking.
        drop(unmapped);
    }

    /// Takes the pages of a dead span back; calls `count` under the page lock.
    /// Returns what must be unmapped.
    ///
    /// # Safety
    ///
    /// The record is one of this heap, dead, and in no list; the pages are those that it
    /// covered, and are not in use.
    pub(super) unsafe fn return_pages(
        &self,
        record: NonNull<Span>,
        base: NonNull<u8>,
        npages: usize,
        count: impl FnOnce(),
    ) -> Option<Arc<Reservation>> {
        // SAFETY: pages of this heap, which are still mapped.
        let location = unsafe { Location::of(base) };
        location.arena().retract(location.page_index(), npages);
        let mut pages = self.pages.lock();
        let unmapped = pages.put(base.addr().get(), npages);
        pages.spans.free(record);
        // ORDERING: Relaxed: a count, changed under the page lock only.
        self.stats.in_use_bytes.fetch_sub(npages * PAGE_SIZE, Ordering::Relaxed);
        count();
        unmapped
    }
}
