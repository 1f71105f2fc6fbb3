//! Sweeping the spans of a heap, and what becomes of each: it goes to a list, or its pages are
//! free.
//!
//! Destructors are user code, which does not run just anywhere: whoever sweeps says whether they
//! may.
//!
//! * DT1: a sweeper that is to leave destructors alone claims no span of a kind that has one.
//!   Allocation is such a sweeper.
//! * DT2: `undropped_pages` is the number of pages of such kinds that are still to be swept.

use heap_sync::atomic::Ordering;
use heap_sync::time::Instant;

use super::MHeap;
use crate::gcbits::Bitmap;
use crate::location::Location;
use crate::mcentral::Central;
use crate::mspan::{Body, SweepClaim};
use crate::partition::{PARTITIONS_MAX, Partition};
use crate::stats::{SWEEP_SAMPLE, SweepBy, Tally};
use crate::sweep::{self, SweepCounts};
use crate::sweep_gen::SweepGen;
use crate::ticket::Ticket;

/// Whether a sweeper may run destructors (DT1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destructors {
    /// Spans of all kinds are swept, those of kinds with destructors first.
    Run,
    /// Only spans of kinds without destructors are swept.
    Leave,
}

impl MHeap {
    /// Called before sweeping: the credit formula counts the pages that sweepers look at.
    pub(super) fn count_pages_swept(&self, npages: usize) {
        self.pages_swept_in_cycle.fetch_add(npages, Ordering::Relaxed);
    }

    pub(super) fn sweep_claimed(
        &self,
        claim: &mut SweepClaim<'_>,
        bitmap: Option<Bitmap>,
        tally: &mut Tally,
    ) -> SweepCounts {
        let npages = claim.body().npages;
        let start = Location::of_span(claim.body())
            .page_index()
            .is_multiple_of(SWEEP_SAMPLE)
            .then(Instant::now);
        let counts = sweep::sweep(claim, bitmap, self.isa, self.config.poison);
        if let Some(start) = start {
            let ns = start.elapsed().as_nanos() as u64;
            tally.sampled_sweep_ns += ns;
            tally.sampled_spans += 1;
            tally.sampled_sweep_ns_max = tally.sampled_sweep_ns_max.max(ns);
        }
        tally.spans_swept += 1;
        tally.pages_swept += npages as u64;
        tally.drop_panics += counts.drop_panics as u64;
        let body = claim.body_mut();
        body.needs_zero |= counts.freed_objects > 0;
        // The caller counts the freed ones (Z3).
        body.counted = body.allocated;
        counts
    }

    /// Sweeps the next span of the heap, and puts it in a list or frees its pages. Returns
    /// the number of its pages, or `None` when nothing is left that this sweeper may sweep.
    pub fn sweep_one(&self, destructors: Destructors, tally: &mut Tally) -> Option<usize> {
        let ticket = self.active.begin()?;
        let with_destructors = match destructors {
            Destructors::Run if self.undropped_pages() > 0 => self.sweep_next(&ticket, true, tally),
            Destructors::Run | Destructors::Leave => None,
        };
        let swept = with_destructors.or_else(|| self.sweep_next(&ticket, false, tally));
        // All lists are empty that we have looked at; if we have not looked at all of them, the
        // count says whether the others are.
        let all_lists_are_empty = destructors == Destructors::Run || self.undropped_pages() == 0;
        if swept.is_none() && all_lists_are_empty {
            ticket.close();
        }
        swept
    }

    /// Sweeps the next span of the kinds with destructors, or of those without.
    fn sweep_next(&self, ticket: &Ticket<'_>, drops: bool, tally: &mut Tally) -> Option<usize> {
        let now = self.now();
        let cursor = &self.cursors[usize::from(drops)];
        loop {
            let index = cursor.load(Ordering::Relaxed);
            let central = self.central_at(index / PARTITIONS_MAX)?;
            let partition = Partition::of_mutator(index % PARTITIONS_MAX);
            let full = central.full_unswept(now).at(partition);
            let pop = || full.pop().or_else(|| central.partial_unswept(now).at(partition).pop());
            let popped = if central.kind().drops() == drops { pop() } else { None };
            let Some(span) = popped else {
                // ORDERING: Relaxed: a hint; only ever moves on.
                let _ =
                    cursor.compare_exchange(index, index + 1, Ordering::Relaxed, Ordering::Relaxed);
                continue;
            };
            // SAFETY: the lists hold records of this heap, and a ticket is out: the clock stands.
            if let Some(claim) = unsafe { SweepClaim::try_claim(ticket, span, now) } {
                return Some(self.sweep_and_settle(claim, central, now, tally));
            }
        }
    }

    fn sweep_and_settle(
        &self,
        mut claim: SweepClaim<'_>,
        central: &Central,
        now: SweepGen,
        tally: &mut Tally,
    ) -> usize {
        let Body { npages, nelems, .. } = *claim.body();
        let partition = claim.body().partition(self.partitions());
        if central.kind().drops() {
            // ORDERING: Relaxed: a count. The claim makes it this thread's to subtract.
            self.undropped_pages.fetch_sub(npages, Ordering::Relaxed);
        } else {
            self.count_pages_swept(npages);
        }
        let bitmap = self.bits.at(partition).alloc(nelems);
        let counts = self.sweep_claimed(&mut claim, bitmap, tally);
        central.counts().freed(counts.freed_objects, claim.body().slot_bytes);
        if counts.live_objects == 0 {
            let (record, body) = claim.kill();
            // SAFETY: the claim has marked the record as dead, and returned what it covered.
            unsafe { self.free_pages(record, &body) };
        } else if counts.live_objects < claim.body().nelems {
            // SAFETY: a record of this heap, which the claim was the only right to.
            unsafe { central.partial_swept(now).at(partition).push(claim.release()) };
        } else {
            // SAFETY: as above.
            unsafe { central.full_swept(now).at(partition).push(claim.release()) };
        }
        npages
    }

    /// Sweeps every span that no other thread has begun to sweep, and counts them.
    pub fn sweep_rest(&self, by: SweepBy) {
        self.sweep_all_of(Destructors::Run, by);
    }

    /// Sweeps every span that this sweeper may, and counts them.
    pub(super) fn sweep_all_of(&self, destructors: Destructors, by: SweepBy) {
        let mut tally = Tally::default();
        while self.sweep_one(destructors, &mut tally).is_some() {}
        self.stats.add(&mut tally, by);
    }

    /// Pages that may hold dead objects whose destructors have not run (DT2).
    #[must_use]
    pub fn undropped_pages(&self) -> usize {
        self.undropped_pages.load(Ordering::Relaxed)
    }

    /// Pages of spans of kinds with destructors.
    pub(super) fn pages_with_destructors(&self) -> usize {
        let centrals = self.centrals.read();
        // SAFETY: Y3.
        let all = centrals.all.iter().map(|central| unsafe { central.as_ref() });
        all.filter(|central| central.kind().drops()).map(|central| central.counts().pages()).sum()
    }

    /// A ticket for a sweeper that sweeps several spans and then accounts for them:
    /// sweeping is not over before the ticket is returned.
    pub fn sweep_ticket(&self) -> Option<Ticket<'_>> {
        self.active.begin()
    }

    /// Whether every span has been swept in this cycle.
    #[must_use]
    pub fn sweep_is_over(&self) -> bool {
        self.active.is_over()
    }

    /// Whether there is nothing left to sweep but spans of kinds with destructors. A hint.
    #[must_use]
    pub fn only_destructors_are_left(&self) -> bool {
        let index = self.cursors[0].load(Ordering::Relaxed);
        self.sweep_is_over() || self.central_at(index / PARTITIONS_MAX).is_none()
    }

    /// Pages of kinds without destructors swept since the clock last advanced.
    #[must_use]
    pub fn pages_swept_in_cycle(&self) -> usize {
        self.pages_swept_in_cycle.load(Ordering::Relaxed)
    }
}
