//! [`Budget`]: what mutators were granted, and what they may take before the next collection
//! or the next step of one.
//!
//! * L1: between collections `live_bytes` is an over-estimate of the bytes of all
//!   allocated slots, so that a collection is never late.
//! * BU1: the triggers, the goal and the bound near a limit are changed by the holder of the
//!   collector lock: with the world stopped, or when it could not be stopped.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_utils::CachePadded;
use heap_core::error::OutOfMemory;
use heap_core::geometry::PAGE_SIZE;
use heap_core::mheap::{MHeap, SPAN_BATCH};
use heap_sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use heap_sync::lock::Mutex;

use super::credit::SweepCredit;
use super::pacer::{self, Pacer, Progress};
use super::thrash::{Collected, ThrashDetector};
use crate::external::ExternalTotal;

/// A mutator takes no more spans of one kind and class at a time than its share of this
/// part of what may be granted before the next collection.
const SPARE_DIVISOR: usize = 2;
/// Nor than its share of this part of the heap's limit: what lies in a cache is no use to
/// other kinds, and is not found by a search for pages.
const SPARE_LIMIT_DIVISOR: usize = 32;

/// A mutator counts its spans as granted when they make up this many bytes.
const GRANT_BYTES: usize = 64 << 10;
/// Or its share of this part of what may be granted before the next collection.
const GRANT_DIVISOR: usize = 16;
/// In a heap with a limit, no more than this part of it for each.
const GRANT_LIMIT_DIVISOR: usize = 256;

/// A collection is overdue when the heap is larger than its trigger by this part.
const OVERDUE_DIVISOR: usize = 8;

/// Near a limit, no more than this part of all pages is kept for the time after a trigger.
const PAGES_LEFT_DIVISOR: usize = 8;
/// The pages in use are no reason for a collection until this part of the limit has been
/// allocated since the last one.
const FLOOR_DIVISOR: usize = 32;

/// The pages of a heap, as the budget sees them.
pub(crate) trait Pages {
    /// Pages that spans cover.
    fn in_use(&self) -> usize;
    /// Those of stacks, which are not swept.
    fn of_stacks(&self) -> usize;
    /// Pages swept in the current sweep phase.
    fn swept(&self) -> usize;
    /// Whether there is nothing left that mutators may sweep.
    fn are_swept(&self) -> bool;
}

impl Pages for MHeap {
    fn in_use(&self) -> usize {
        self.pages_in_use()
    }

    fn of_stacks(&self) -> usize {
        self.stack_pages()
    }

    fn swept(&self) -> usize {
        self.pages_swept_in_cycle()
    }

    fn are_swept(&self) -> bool {
        self.only_destructors_are_left()
    }
}

/// What counting granted bytes has come to.
#[derive(Clone, Copy, Debug)]
#[must_use = "a step may be due"]
pub(crate) struct Granted {
    /// Live bytes now.
    pub(crate) live: usize,
    /// Whether a collection, or a step of the one that is under way, is due.
    pub(crate) step_is_due: bool,
}

/// What a mark phase is to do between its stops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MarkPlan {
    /// Live bytes that it is to stay below.
    goal: usize,
    /// Bytes that it is likely to mark.
    expected: usize,
}

/// The numbers that pace a heap.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Bytes granted to mutators and not known to be dead (L1). On a line of its own: all
    /// mutators write it, and read the rest.
    live_bytes: CachePadded<AtomicUsize>,
    /// Live bytes at which a collection, or a step of one, is due.
    trigger_bytes: AtomicUsize,
    /// Live bytes that a collection in several steps is to stay below.
    goal_bytes: AtomicUsize,
    /// Live bytes beyond which a heap with a limit is [near it](Budget::is_near_limit).
    near_limit_bytes: AtomicUsize,
    /// Pages in use at which a collection is due, in a heap with a limit.
    trigger_pages: AtomicUsize,
    /// Live bytes below which `trigger_pages` does not count.
    trigger_floor: AtomicUsize,
    /// Live bytes at which the next step of sweeping is due, if sweeping waits for safepoints.
    sweep_step_bytes: AtomicUsize,
    /// Live bytes right after the last collection.
    kept_bytes: AtomicUsize,
    /// Bytes that objects own elsewhere.
    external: Arc<ExternalTotal>,
    /// Live bytes, these included, at which a collection or a step is due if there are any.
    external_trigger: AtomicUsize,
    /// External bytes right after the last collection's dead were dropped.
    external_kept: AtomicUsize,
    /// Whether those of the present sweep have been.
    is_external_settled: AtomicBool,
    credit: SweepCredit,
    /// Whether a mutator has been refused memory since the last collection.
    was_refused: AtomicBool,
    /// Whether a collection has been due since the last one: not one that the program asked for.
    was_due: AtomicBool,
    /// Whether the next mutator is refused memory because the heap thrashes (TD1).
    is_thrashing: AtomicBool,
    thrash: Mutex<ThrashDetector>,
    /// What the heap was configured with.
    pacer: Pacer,
}

impl Budget {
    /// The budget of a heap that holds nothing yet.
    pub(crate) fn new(
        pacer: Pacer,
        thrash_ratio: u32,
        external: Arc<ExternalTotal>,
        pages: &impl Pages,
    ) -> Budget {
        let budget = Budget {
            live_bytes: CachePadded::new(AtomicUsize::new(0)),
            trigger_bytes: AtomicUsize::new(0),
            goal_bytes: AtomicUsize::new(0),
            near_limit_bytes: AtomicUsize::new(usize::MAX),
            trigger_pages: AtomicUsize::new(usize::MAX),
            trigger_floor: AtomicUsize::new(0),
            sweep_step_bytes: AtomicUsize::new(usize::MAX),
            kept_bytes: AtomicUsize::new(0),
            external,
            external_trigger: AtomicUsize::new(pacer.goal(0, 0)),
            external_kept: AtomicUsize::new(0),
            is_external_settled: AtomicBool::new(true),
            credit: SweepCredit::default(),
            was_refused: AtomicBool::new(false),
            was_due: AtomicBool::new(false),
            is_thrashing: AtomicBool::new(false),
            thrash: Mutex::new(ThrashDetector::new(thrash_ratio)),
            pacer,
        };
        budget.set_triggers(0, 0, false, pages);
        budget
    }

    /// Live bytes, as they are estimated (L1).
    pub(crate) fn live_bytes(&self) -> usize {
        self.live_bytes.load(Ordering::Relaxed)
    }

    /// Live bytes at which the next collection, or the next step, is due.
    pub(crate) fn trigger_bytes(&self) -> usize {
        self.trigger_bytes.load(Ordering::Relaxed)
    }

    /// Whether a heap with a limit is so near to it that mutators may be refused before a
    /// mark phase in steps ends.
    pub(crate) fn is_near_limit(&self, pages: &impl Pages) -> bool {
        self.live_bytes() > self.near_limit_bytes.load(Ordering::Relaxed)
            || (self.pacer.max_heap_bytes.is_some()
                && pages.in_use() > self.trigger_pages.load(Ordering::Relaxed))
    }

    /// Bytes that mutators may be granted until the next collection is due.
    pub(crate) fn room(&self) -> usize {
        self.trigger_bytes().saturating_sub(self.live_bytes())
    }

    /// Whether the heap has outgrown its trigger by so much that mutators should wait for the
    /// collection.
    pub(crate) fn is_overdue(&self) -> bool {
        let trigger = self.trigger_bytes();
        self.live_bytes() > trigger.saturating_add(trigger / OVERDUE_DIVISOR)
    }

    /// Whether a mutator may take memory. In a heap that thrashes one is refused after each
    /// collection: the next finds what is left, to deal with the error.
    ///
    /// # Errors
    ///
    /// If the heap thrashes (TD1).
    #[inline]
    pub(crate) fn admit(&self) -> Result<(), OutOfMemory> {
        // ORDERING: Relaxed: set with the world stopped (BU1), and it guards nothing.
        if self.is_thrashing.load(Ordering::Relaxed)
            && self.is_thrashing.swap(false, Ordering::Relaxed)
        {
            return Err(OutOfMemory::Thrashing);
        }
        Ok(())
    }

    /// Takes notice that a mutator is refused memory.
    pub(crate) fn refused(&self) {
        // ORDERING: Relaxed: a hint.
        self.was_refused.store(true, Ordering::Relaxed);
    }

    // ---- what mutators take ------------------------------------------------------

    /// Counts bytes granted to a mutator.
    pub(crate) fn grant(&self, bytes: usize, pages: &impl Pages) -> Granted {
        let live = self.live_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let step_is_due =
            self.is_due_at(live, pages) || live >= self.sweep_step_bytes.load(Ordering::Relaxed);
        if step_is_due && !self.was_due.load(Ordering::Relaxed) {
            // ORDERING: Relaxed: statistics of a kind; looked at first, as others write it too.
            self.was_due.store(true, Ordering::Relaxed);
        }
        Granted { live, step_is_due }
    }

    /// Counts bytes that an object owns elsewhere from now on. Says whether a step is due.
    pub(crate) fn charge_external(&self, bytes: usize, pages: &impl Pages) -> bool {
        self.external.add(bytes);
        self.is_due(pages)
    }

    /// Whether a collection, or a step of marking, is due when `live` bytes are.
    fn is_due_at(&self, live: usize, pages: &impl Pages) -> bool {
        let external = self.external.bytes();
        live >= self.trigger_bytes()
            || (external > 0
                && live.saturating_add(external) >= self.external_trigger.load(Ordering::Relaxed))
            || (live >= self.trigger_floor.load(Ordering::Relaxed)
                && pages.in_use() > self.trigger_pages.load(Ordering::Relaxed)
                // Until then many of the pages are garbage's, and a heap at its
                // limit sweeps them before it refuses.
                && pages.are_swept())
    }

    /// Takes back bytes that a mutator was granted and did not use.
    pub(crate) fn take_back(&self, bytes: usize) {
        // Saturating: the estimate was reset by a collection in between.
        let _ = self.live_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |live| {
            Some(live.saturating_sub(bytes))
        });
    }

    /// How many of `wanted` spans one of `mutators` may take at a time: all of them while the next
    /// collection is far, so that the spare spans of many mutators do not make up the heap; and as
    /// many beside the first as a batch of pages pays for, so that where garbage is plenty and room
    /// is scarce no mutator sweeps half of the heap in one go.
    pub(crate) fn affordable(&self, wanted: usize, span_bytes: usize, mutators: usize) -> usize {
        let left = self.trigger_bytes().saturating_sub(self.live_bytes());
        let limit = self.pacer.max_heap_bytes.unwrap_or(usize::MAX);
        let each = (left / SPARE_DIVISOR).min(limit / SPARE_LIMIT_DIVISOR) / mutators;
        wanted.min(1 + each.min(self.credit.worth(SPAN_BATCH)) / span_bytes)
    }

    /// How many bytes one of `mutators` may open before they count as granted, when `live`
    /// bytes are: not none, which would make all mutators write to one place for every span,
    /// but little compared to what is left, for all mutators together.
    pub(crate) fn count_next(&self, live: usize, mutators: usize) -> usize {
        let left = self.trigger_bytes().saturating_sub(live);
        let limit = self.pacer.max_heap_bytes.unwrap_or(usize::MAX);
        // Many may have counted themselves when they were few.
        GRANT_BYTES.min(left / GRANT_DIVISOR / mutators).min(limit / GRANT_LIMIT_DIVISOR)
    }

    /// Pays for `span_bytes` (CR1): calls `sweep_one` until nothing is owed for them, or
    /// `sweep_one` has found nothing to sweep.
    pub(crate) fn pay(
        &self,
        span_bytes: usize,
        pages: &impl Pages,
        mut sweep_one: impl FnMut() -> bool,
    ) {
        while self.credit.owed(span_bytes, self.live_bytes(), pages.swept()) > 0 {
            if !sweep_one() {
                self.credit.settle();
                break;
            }
        }
    }

    /// Nothing is owed any more: everything is swept.
    pub(crate) fn settle_credit(&self) {
        self.credit.settle();
    }

    // ---- the cycle -----------------------------------------------------------------

    /// A mark phase begins. The last one traced `traced` bytes; 0 if there was none.
    pub(crate) fn plan_mark(&self, traced: usize) -> MarkPlan {
        let live = self.live_bytes();
        let goal = pacer::end_of_runway(live, self.goal_bytes.load(Ordering::Relaxed));
        let goal = goal.min(self.near_limit_bytes.load(Ordering::Relaxed)).max(live);
        MarkPlan { goal, expected: if traced == 0 { live } else { traced } }
    }

    /// How long the next step of a mark phase should be (PA4).
    pub(crate) fn step_time(&self, slice: Duration, plan: &MarkPlan) -> Duration {
        pacer::step_time(slice, self.live_bytes(), plan.goal)
    }

    /// How long the next step of sweeping should be (PA4).
    pub(crate) fn sweep_time(&self, slice: Duration) -> Duration {
        pacer::step_time(slice, self.live_bytes(), self.trigger_bytes())
    }

    /// Mutators run before marking is over: the next step is due when they have allocated
    /// their part of what is left (PA3). `marked` bytes are marked so far, `step` of them
    /// by the last step.
    pub(crate) fn suspend(&self, plan: &MarkPlan, marked: usize, step: usize) {
        let live = self.live_bytes();
        let MarkPlan { goal, expected } = *plan;
        let progress = Progress { live, goal, marked, expected, step };
        let next = live.saturating_add(progress.allowance());
        // ORDERING: Relaxed: published by leaving the safepoint (BU1).
        self.trigger_bytes.store(next, Ordering::Relaxed);
        self.external_trigger.store(next.saturating_add(self.external.bytes()), Ordering::Relaxed);
    }

    /// A collection is complete. It has marked `marked` bytes, of which `allocated_black`
    /// bytes because they are new, and `unswept` pages are to be swept. `in_steps`: whether
    /// the next one is expected to take several.
    pub(crate) fn complete(
        &self,
        marked: usize,
        allocated_black: usize,
        unswept: usize,
        in_steps: bool,
        pages: &impl Pages,
    ) {
        self.sweep_step_bytes.store(usize::MAX, Ordering::Relaxed);
        // ORDERING: Relaxed: published by leaving the safepoint (BU1).
        let was_refused = self.was_refused.swap(false, Ordering::Relaxed);
        let was_due = self.was_due.swap(false, Ordering::Relaxed);
        // One that the program has asked for says nothing about the limit.
        let was_forced = self.pacer.max_heap_bytes.is_some()
            && (was_refused || (was_due && self.is_near_limit(pages)));
        let kept = self.kept_bytes.swap(marked, Ordering::Relaxed);
        let allocated = self.live_bytes().saturating_sub(kept);
        self.live_bytes.store(marked, Ordering::Relaxed);
        self.set_triggers(marked, allocated_black, in_steps, pages);
        // Some of these bytes are garbage's: the dead have not been dropped yet.
        let kept = self.external_kept.load(Ordering::Relaxed);
        self.set_external_trigger(kept.min(self.external.bytes()));
        self.is_external_settled.store(false, Ordering::Relaxed);
        self.credit.set_terms(unswept, marked, self.trigger_bytes());
        let room = self.trigger_bytes() - marked;
        let collected = Collected { allocated, marked, room, was_forced };
        let is_thrashing = self.thrash.lock().collected(collected);
        self.is_thrashing.store(is_thrashing, Ordering::Relaxed);
    }

    /// Mutators run before everything is swept that only safepoints may sweep: the next step is due
    /// when they have allocated their part of what is left, as in [`Budget::suspend`]. The last step
    /// began with `before` pages and left `left`.
    pub(crate) fn suspend_sweep(&self, before: usize, left: usize) {
        let (live, goal) = (self.live_bytes(), self.trigger_bytes());
        let step = before.saturating_sub(left);
        let progress = Progress { live, goal, marked: 0, expected: left, step };
        let next = if left > 0 { live.saturating_add(progress.allowance()) } else { usize::MAX };
        // ORDERING: Relaxed: as good as a hint; the holder of the collector lock changes it.
        self.sweep_step_bytes.store(next, Ordering::Relaxed);
    }

    /// Whether a collection is due, and not only a step of sweeping.
    pub(crate) fn is_due(&self, pages: &impl Pages) -> bool {
        self.is_due_at(self.live_bytes(), pages)
    }

    /// The dead of the last collection are dropped: no step of sweeping is due for them, and their
    /// external bytes are gone. What is left of these may grow as the heap does; they are looked at
    /// once for each collection.
    pub(crate) fn all_are_dropped(&self) {
        // ORDERING: Relaxed: the caller has a ticket or the collector lock, so that no collection
        // completes.
        self.sweep_step_bytes.store(usize::MAX, Ordering::Relaxed);
        if self.is_external_settled.swap(true, Ordering::Relaxed) {
            return;
        }
        let external = self.external.bytes();
        self.external_kept.store(external, Ordering::Relaxed);
        self.set_external_trigger(external);
    }

    fn set_external_trigger(&self, kept: usize) {
        // The limit is the heap's own triggers' concern.
        let pacer = Pacer { max_heap_bytes: None, ..self.pacer };
        let goal = pacer.goal(self.kept_bytes.load(Ordering::Relaxed).saturating_add(kept), 0);
        self.external_trigger.store(goal, Ordering::Relaxed);
    }

    /// The world could not be stopped (X2): the next collection is due when the heap has
    /// doubled.
    pub(crate) fn refuse(&self, pages: &impl Pages) {
        let double = |now: usize| now.saturating_mul(2).max(1);
        self.trigger_bytes.store(double(self.live_bytes()), Ordering::Relaxed);
        let external = double(self.live_bytes().saturating_add(self.external.bytes()));
        self.external_trigger.store(external, Ordering::Relaxed);
        self.trigger_pages.store(double(pages.in_use()), Ordering::Relaxed);
    }

    /// Says when the next collection is due; see [`Budget::complete`].
    fn set_triggers(
        &self,
        marked: usize,
        allocated_black: usize,
        in_steps: bool,
        pages: &impl Pages,
    ) {
        // What stacks have is not there for objects.
        let stacks = pages.of_stacks();
        let limit = self.pacer.max_heap_bytes;
        let limit = limit.map(|limit| limit.saturating_sub(stacks * PAGE_SIZE));
        let pacer = Pacer { max_heap_bytes: limit, ..self.pacer };
        let goal = pacer.goal(marked, allocated_black);
        // ORDERING: Relaxed: published by leaving the safepoint (BU1).
        self.goal_bytes.store(goal, Ordering::Relaxed);
        self.near_limit_bytes.store(pacer.near_limit_bytes(marked), Ordering::Relaxed);
        self.trigger_bytes.store(pacer.trigger(marked, goal, in_steps), Ordering::Relaxed);
        if let Some(limit) = limit {
            // Pages run out before bytes do when spans are partly filled. Half
            // of what is left may be taken before the next collection, so that
            // a heap near its limit still makes progress (PA1).
            // Before sweeping, most pages in use are garbage's: count the live.
            let all = limit / PAGE_SIZE;
            let live = marked.div_ceil(PAGE_SIZE).min(pages.in_use());
            let left = all.saturating_sub(live);
            let trigger = stacks + all - (left / 2).min(all / PAGES_LEFT_DIVISOR);
            self.trigger_pages.store(trigger, Ordering::Relaxed);
            // In a fragmented heap the pages may stay above the trigger. Some
            // allocation must fit between two collections all the same.
            let floor = marked.saturating_add(limit / FLOOR_DIVISOR);
            self.trigger_floor.store(floor, Ordering::Relaxed);
        }
    }

    /// Breaks L1, for tests of the verifier.
    #[cfg(all(test, not(heap_loom)))]
    pub(crate) fn set_live_for_test(&self, bytes: usize) {
        self.live_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Breaks PA1, for tests of the verifier.
    #[cfg(all(test, not(heap_loom)))]
    pub(crate) fn set_trigger_for_test(&self, bytes: usize) {
        self.trigger_bytes.store(bytes, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(heap_loom)))]
mod tests {
    use super::*;

    /// Pages that are as one says.
    #[derive(Clone, Copy, Default)]
    struct Fake {
        in_use: usize,
        of_stacks: usize,
        swept: usize,
        are_swept: bool,
    }

    impl Pages for Fake {
        fn in_use(&self) -> usize {
            self.in_use
        }

        fn of_stacks(&self) -> usize {
            self.of_stacks
        }

        fn swept(&self) -> usize {
            self.swept
        }

        fn are_swept(&self) -> bool {
            self.are_swept
        }
    }

    fn budget(max_heap_bytes: Option<usize>) -> Budget {
        let pacer = Pacer { growth_percent: 175, min_heap_bytes: 4 << 20, max_heap_bytes };
        Budget::new(pacer, 64, Arc::default(), &Fake::default())
    }

    /// What one of `mutators` may take beside the first span, in bytes.
    fn spare(budget: &Budget, mutators: usize) -> usize {
        budget.affordable(usize::MAX, 1, mutators) - 1
    }

    #[test]
    fn mutators_share_what_they_may_take_ahead() {
        let budget = budget(None);
        let left = budget.trigger_bytes();
        assert_eq!(spare(&budget, 1), left / SPARE_DIVISOR);
        assert_eq!(spare(&budget, 4), left / SPARE_DIVISOR / 4);
        assert_eq!(budget.affordable(5, PAGE_SIZE, 1), 5);
        // Nothing is left, and one span is needed all the same.
        let _ = budget.grant(left, &Fake::default());
        assert_eq!(budget.affordable(5, PAGE_SIZE, 1), 1);
    }

    #[test]
    fn opened_spans_count_more_often_the_less_is_left() {
        let budget = budget(None);
        let trigger = budget.trigger_bytes();
        assert_eq!(budget.count_next(0, 1), GRANT_BYTES);
        assert_eq!(budget.count_next(trigger - GRANT_DIVISOR, 1), 1);
        // Mutators do not see what others have opened.
        let far = trigger - 8 * GRANT_DIVISOR;
        assert_eq!([1, 2].map(|mutators| budget.count_next(far, mutators)), [8, 4]);
        assert_eq!(budget.count_next(trigger + 1, 2), 0);
    }

    #[test]
    fn a_mutator_takes_little_ahead_of_a_small_limit() {
        let limit = 2 << 20;
        let budget = budget(Some(limit));
        assert_eq!(spare(&budget, 1), limit / SPARE_LIMIT_DIVISOR);
        assert_eq!(budget.count_next(0, 1), limit / GRANT_LIMIT_DIVISOR);
    }

    #[test]
    fn a_mutator_takes_ahead_what_it_can_pay_for() {
        let budget = budget(None);
        let left = budget.trigger_bytes();
        // Eight pages are to be swept for each.
        budget.credit.set_terms(8 * left / PAGE_SIZE, 0, left);
        let spans = budget.affordable(SPAN_BATCH, PAGE_SIZE, 1);
        assert_eq!(spans, SPAN_BATCH / 8);
        assert!(budget.credit.owed(spans * PAGE_SIZE, 0, 0) <= SPAN_BATCH + 8);
    }

    #[test]
    fn a_step_is_due_at_the_trigger_and_what_is_taken_back_delays_it() {
        let (budget, pages) = (budget(None), Fake::default());
        let trigger = budget.trigger_bytes();
        assert!(!budget.grant(trigger - 1, &pages).step_is_due);
        budget.take_back(1);
        assert!(!budget.grant(1, &pages).step_is_due);
        let granted = budget.grant(1, &pages);
        assert!(granted.step_is_due && granted.live == trigger && !budget.is_overdue());
        let _ = budget.grant(trigger / OVERDUE_DIVISOR + 1, &pages);
        assert!(budget.is_overdue());
        budget.take_back(usize::MAX);
        assert_eq!(budget.live_bytes(), 0);
    }

    #[test]
    fn pages_are_a_reason_to_collect_when_they_are_swept_and_something_was_allocated() {
        let limit = 16 << 20;
        let budget = budget(Some(limit));
        let pages = Fake { in_use: limit / PAGE_SIZE, are_swept: true, ..Fake::default() };
        assert!(budget.is_near_limit(&pages));
        let few = Fake { in_use: pages.in_use / 2, ..pages };
        assert!(!budget.is_near_limit(&few));
        assert!(!budget.grant(limit / FLOOR_DIVISOR - 1, &pages).step_is_due);
        assert!(!budget.grant(1, &Fake { are_swept: false, ..pages }).step_is_due);
        assert!(!budget.grant(0, &few).step_is_due);
        assert!(budget.grant(0, &pages).step_is_due);
        // Stacks take their pages from objects.
        budget.complete(0, 0, 0, false, &Fake { of_stacks: pages.in_use, ..pages });
        assert_eq!(budget.trigger_bytes(), 1);
    }

    #[test]
    fn a_heap_that_is_nearly_full_refuses_until_it_has_room() {
        let limit = 64 << 20;
        let budget = budget(Some(limit));
        let (full, half) = (62 << 20, 32 << 20);
        let mut collect = |live| {
            let allocated = budget.trigger_bytes() - budget.live_bytes();
            let _ = budget.grant(allocated, &Fake::default());
            budget.complete(live, 0, 0, false, &Fake::default());
            budget.admit()
        };
        // It fills up in a few collections, of which none is bad yet.
        assert_eq!([half, half, full].map(&mut collect), [Ok(()); 3]);
        assert_eq!([full; 3].map(&mut collect), [Ok(()); 3]);
        assert_eq!(collect(full), Err(OutOfMemory::Thrashing), "TD1");
        assert_eq!(budget.admit(), Ok(()), "the error can be dealt with");
        assert_eq!(collect(full), Err(OutOfMemory::Thrashing));
        assert_eq!(collect(half), Ok(()), "TD2");
    }

    #[test]
    fn a_heap_whose_world_cannot_be_stopped_is_due_when_it_has_doubled() {
        let budget = budget(Some(1 << 30));
        let pages = Fake { in_use: 100, are_swept: true, ..Fake::default() };
        let _ = budget.grant(512 << 20, &pages);
        budget.refuse(&pages);
        assert_eq!(budget.trigger_bytes(), 1 << 30);
        assert!(!budget.grant(0, &Fake { in_use: 200, ..pages }).step_is_due);
        assert!(budget.grant(0, &Fake { in_use: 201, ..pages }).step_is_due);
    }

    #[test]
    fn paying_ends_when_nothing_is_owed_or_nothing_is_left() {
        let budget = budget(None);
        let (trigger, mut swept) = (budget.trigger_bytes(), 0);
        budget.complete(0, 0, 1000, false, &Fake::default());
        budget.pay(trigger / 2, &Fake { swept: 600, ..Fake::default() }, || panic!("owes nothing"));
        budget.pay(trigger / 2, &Fake::default(), || {
            swept += 1;
            swept < 10
        });
        assert_eq!(swept, 10);
        budget.pay(trigger, &Fake::default(), || panic!("it is settled"));
    }
}
