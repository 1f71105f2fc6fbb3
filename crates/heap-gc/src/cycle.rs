//! The collection cycle: what a collector does with a heap.
//!
//! The crate's documentation describes a cycle as a whole. A cycle is done in one stop of the
//! world, or begins in one stop and continues in others ([`MarkBudget`]).
//!
//! * CY1: between two stops there is an [`IncrementalMark`] exactly while mutators are told that a
//!   collection is under way (B2) and new objects are kept (M4).
//! * CY2: a request for a whole collection that is seen before the world stands makes the
//!   step whole. If the collection had begun before, the request stays for the next (GA6).
//! * CY3: destructors of the dead are user code, and run here, on the background sweeper's thread,
//!   and where a thread outside gives memory back. A whole collection has run them when it returns,
//!   unless there is a background sweeper; one in steps runs them in further steps, before the next
//!   begins.
//!
//! The caller has the collector lock, and is outside.

use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use heap_core::mheap::{Destructors, WeakCounts};
use heap_core::partition::Partition;
use heap_core::stats::{SweepBy, Tally};
use heap_sync::mutant;
use heap_sync::thread::yield_now;
use heap_sync::time::Instant;

use crate::barrier::Found;
use crate::gate::{CollectorLock, WorldStopped};
use crate::heap_state::HeapState;
use crate::mark::{IncrementalMark, MarkCounts, MarkPhase, Marking, Seeds};
use crate::phase::{MarkCycleId, Phase};
use crate::requests::{Answer, Request, Withdrawn};
use crate::sampling::Sampling;
use crate::world::MutatorRecord;

/// The length of a step that a mutator asks for, where nothing else is set.
const SLICE_DEFAULT: Duration = Duration::from_millis(1);

/// Weak handles that are looked at between two looks at the clock: some ten microseconds. In builds
/// with assertions few.
const HANDLES_CLEARED: usize = if cfg!(debug_assertions) { 2 } else { 2048 };

/// How much of a collection to do in one stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MarkBudget {
    /// What is left of it.
    Whole,
    /// As much marking as can be done in this time.
    Step(Duration),
}

/// What a step has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The collection is complete.
    Complete,
    /// There is more to mark.
    Suspended,
    /// The world could not be stopped (X2).
    Refused,
}

impl HeapState {
    /// A full collection: what is unreachable now will be swept.
    pub(crate) fn collect(self: &Arc<Self>) {
        let collector = self.world.gate.claim();
        self.collect_whole(&collector);
    }

    /// A full collection after which everything is swept and all destructors of the dead have run,
    /// whichever thread runs them.
    pub(crate) fn collect_and_drop(self: &Arc<Self>) {
        let collector = self.world.gate.claim();
        self.collect_whole(&collector);
        self.finish_sweep();
    }

    /// Begins a collection, or goes on with the one that is under way, for the time of a
    /// slice. Says whether it is complete.
    pub(crate) fn collect_step(self: &Arc<Self>) -> bool {
        let collector = self.world.gate.claim();
        let slice = self.config.mark_slice.unwrap_or(SLICE_DEFAULT);
        // A whole collection, if one is requested (CY2), is not put off by sweeping.
        let left = match self.world.requests().gc_requested() {
            true => Some(slice),
            false => self
                .sweep_step(&collector, slice)
                .and_then(|left| self.prepare_step(&collector, left)),
        };
        left.is_some_and(|left| self.step(&collector, MarkBudget::Step(left)) != Outcome::Suspended)
    }

    /// A collection, or a step of one, if it is still wanted once the collector lock
    /// is ours.
    pub(crate) fn collect_if_wanted(self: &Arc<Self>) -> Answer {
        // If another thread collects, entering waits for it once it stops the world. If it is slow
        // to do so, the heap must not outgrow its goal in that time, and no mutator may be refused
        // because the collector's thread does not run.
        let collector = if self.budget.is_overdue() || self.is_near_limit() {
            self.world.requests().claim_before_stop()
        } else {
            self.world.requests().try_claim()
        };
        let Some(collector) = collector else { return Answer::ByAnother };
        match self.world.requests().get() {
            Request::Gc => self.collect_whole(&collector),
            Request::Step => self.step_if_due(&collector),
            // Another thread has collected while we waited. (The world is stopped by holders of
            // the lock only.)
            Request::None | Request::Block => {}
        }
        Answer::Done
    }

    /// Does what a request for a step asks for: sweeping that is left, if a collection in steps
    /// was the last, or a step of a collection.
    fn step_if_due(self: &Arc<Self>, collector: &CollectorLock<'_>) {
        let budget = match self.config.mark_slice {
            None => {
                if self.heap.undropped_pages() > 0 {
                    // The background sweeper has not come to them. What they own elsewhere may be
                    // why a collection is due.
                    self.world.requests().clear_step(collector);
                    self.run_destructors();
                    if !self.is_gc_due() {
                        return;
                    }
                }
                MarkBudget::Whole
            }
            Some(_) if self.is_near_limit() => MarkBudget::Whole,
            Some(slice) => {
                let is_sweeping = !self.is_collecting() && !self.heap.sweep_is_over();
                match self.sweep_step(collector, slice) {
                    None => return,
                    Some(_) if is_sweeping && !self.is_gc_due() => return,
                    Some(left) => match self.prepare_step(collector, left) {
                        Some(left) => MarkBudget::Step(left),
                        None => return,
                    },
                }
            }
        };
        let _ = self.step(collector, budget);
    }

    /// Whether a request for a step asks for a collection, and not only for sweeping.
    fn is_gc_due(&self) -> bool {
        self.config.stress || self.budget.is_due(&*self.heap) || self.is_near_limit()
    }

    /// Sweeps what is left of the last collection, destructors included, for the time of a
    /// slice. Says how much of that time is left when everything is swept; `None` if it is not.
    /// The unit that is not divided is a span.
    fn sweep_step(&self, collector: &CollectorLock<'_>, slice: Duration) -> Option<Duration> {
        if self.is_collecting() || self.heap.sweep_is_over() {
            return Some(slice);
        }
        self.world.requests().clear_step(collector);
        let time = self.budget.sweep_time(slice);
        let start = Instant::now();
        let before = self.heap.undropped_pages();
        let is_swept = self.sweep_while(Destructors::Run, SweepBy::Collector, |tally| {
            tally.spans_swept == 0 || start.elapsed() < time
        });
        self.budget.suspend_sweep(before, self.heap.undropped_pages());
        is_swept.then(|| slice.saturating_sub(start.elapsed()))
    }

    /// What comes before a collection that is about to begin, for the time of a slice: gives memory
    /// back that the last one has found unused, and makes the mark bytes ready. Says how much of that
    /// time is left.
    fn prepare_step(&self, collector: &CollectorLock<'_>, slice: Duration) -> Option<Duration> {
        if self.is_collecting() || !self.heap.sweep_is_over() {
            return Some(slice);
        }
        let start = Instant::now();
        let time = self.budget.sweep_time(slice);
        let has_time = || start.elapsed() < time;
        if !self.sweeps_in_background() {
            let _ = self.trim_while(has_time);
        }
        // SAFETY: sweeping is over, and this thread has the collector lock: only a collection that
        // it completes begins the next sweep, or marks.
        while unsafe { self.heap.prepare_marking() } {
            if !has_time() {
                if self.budget.is_overdue() {
                    // The program outruns this; marking can do it as well.
                    break;
                }
                // What is due is requested again.
                self.world.requests().clear_step(collector);
                return None;
            }
        }
        Some(slice.saturating_sub(start.elapsed()))
    }

    /// Runs the destructors of all that the last collection has found dead. The world runs.
    fn run_destructors(&self) {
        let any_are_left = |_: &Tally| self.heap.undropped_pages() > 0;
        let _ = self.sweep_while(Destructors::Run, SweepBy::Collector, any_are_left);
        // Also if there were none, and allocation has swept everything already.
        self.budget.all_are_dropped();
    }

    /// A collection that begins now, after the one that is under way.
    fn collect_whole(self: &Arc<Self>, collector: &CollectorLock<'_>) {
        if self.finish_marking(collector) == Outcome::Complete {
            let _ = self.step(collector, MarkBudget::Whole);
        }
    }

    /// Completes the collection that is under way, if there is one.
    pub(crate) fn finish_marking(self: &Arc<Self>, collector: &CollectorLock<'_>) -> Outcome {
        match self.is_collecting() {
            true => self.step(collector, MarkBudget::Whole),
            false => Outcome::Complete,
        }
    }

    /// One stop of the world, for a collection or a part of one. If a whole collection is requested
    /// before the world stands, the part is what is left of it.
    fn step(self: &Arc<Self>, collector: &CollectorLock<'_>, mut budget: MarkBudget) -> Outcome {
        let suspended = self.suspended.lock().take();
        if suspended.is_none() {
            // Finish the previous sweep, while mutators run.
            self.finish_sweep();
            if budget == MarkBudget::Whole && !self.sweeps_in_background() {
                // Everything is swept: what is idle now is beyond what this cycle needed. The
                // background sweeper or `prepare_step` would have done it already.
                let _ = self.trim_while(|| true);
            }
        }
        let start = Instant::now();
        let stopping = collector.raise();
        let withdrawn = self.world.requests().withdraw(&stopping);
        let (mutators, world) = self.world.wait(stopping);
        let Some(world) = world else {
            // X2: handles of a leaked context may be anywhere, so nothing may be
            // freed, perhaps for the rest of the run. Ask again only after the heap has doubled:
            // the mutator may have been on its way out, in a thread that ended.
            self.budget.refuse(&*self.heap);
            withdrawn.refuse();
            *self.suspended.lock() = suspended;
            return Outcome::Refused;
        };
        let stopped = Instant::now();
        // A panic from here on would leave the heap without its marks.
        let armed = AbortOnUnwind;
        let (mut suspended, gc_requested) = match suspended {
            Some(suspended) => (suspended, withdrawn.put_back(&world)),
            None => self.begin(&world, &mutators, withdrawn),
        };
        if gc_requested || self.is_near_limit() {
            budget = MarkBudget::Whole;
        }
        let before = suspended.marking.counts().bytes;
        let marking = Instant::now();
        self.mark(&world, &mutators, &mut suspended, budget);
        let mark_time = marking.elapsed();
        suspended.mark_time += mark_time;
        let outcome = if suspended.phase == MarkPhase::Done {
            self.complete(collector, &world, &mutators, suspended);
            Outcome::Complete
        } else {
            self.suspend_marking(&world, suspended, before);
            Outcome::Suspended
        };
        std::mem::forget(armed);
        let mut cycles = self.cycles.lock();
        cycles.steps += 1;
        cycles.mark_time.add(mark_time);
        cycles.stop_time.add(stopped - start);
        cycles.pause_time.add(start.elapsed());
        drop(cycles);
        drop(world);
        drop(mutators);
        if outcome == Outcome::Complete {
            // Not in the stop: there may be many.
            // SAFETY: marking is done: it has no pieces left. The heap's state has its owner.
            unsafe { self.heap.end_hold() };
            self.note_complete();
            // CY3.
            if self.sweeps_in_background() {
                self.background.wake(self);
            } else if budget == MarkBudget::Whole {
                self.run_destructors();
            } else {
                let left = self.heap.undropped_pages();
                self.budget.suspend_sweep(left, left);
            }
        }
        outcome
    }

    /// Makes the heap ready for marking. Says also whether a whole collection
    /// is requested.
    fn begin(
        &self,
        world: &WorldStopped<'_>,
        mutators: &[Arc<MutatorRecord>],
        withdrawn: Withdrawn<'_>,
    ) -> (IncrementalMark, bool) {
        // Caches back, sweep leftovers (a mutator may have swept on while we waited),
        // bitmaps rotate.
        self.flush_caches(world, mutators);
        self.finish_sweep();
        // SAFETY: the world is stopped, the caches were flushed just now, and no thread sweeps.
        unsafe { self.heap.before_mark() };
        // GA6: from here on a request is for the next collection. Not sooner: what the caches held
        // is of this one, and counting it may make a request.
        let gc_requested = withdrawn.answer(world);
        let plan = self.budget.plan_mark(self.cycles.lock().traced_bytes);
        self.roots.begin_visit();
        self.finalizers.begin_visit();
        let marking = Marking::new(self.heap.isa());
        let phase = MarkPhase::Trace;
        (IncrementalMark { marking, phase, plan, mark_time: Duration::ZERO }, gc_requested)
    }

    fn mark(
        &self,
        world: &WorldStopped<'_>,
        mutators: &[Arc<MutatorRecord>],
        suspended: &mut IncrementalMark,
        budget: MarkBudget,
    ) {
        let IncrementalMark { marking, phase, plan, .. } = suspended;
        let deadline = match budget {
            MarkBudget::Whole => None,
            MarkBudget::Step(slice) => {
                // A time beyond the clock's is the end of the mark phase.
                Instant::now().checked_add(self.budget.step_time(slice, plan))
            }
        };
        let is_over = || deadline.is_some_and(|at| Instant::now() >= at);
        if matches!(phase, MarkPhase::Trace | MarkPhase::Revive) {
            self.take_over_grey(world, marking);
        }
        if *phase == MarkPhase::Trace {
            // Shadow stacks have no barrier: all of them are visited in the first stop.
            let mut stacks = (!self.is_collecting()).then_some(mutators);
            let seeds = |visit: &mut dyn FnMut(NonNull<u8>)| {
                if let Some(mutators) = stacks.take() {
                    shadow_stacks(world, mutators, visit);
                }
                match self.roots.visit_some(visit) {
                    Seeds::More => Seeds::More,
                    Seeds::Done => self.finalizers.visit_some(visit),
                }
            };
            // SAFETY: the world is stopped. Roots, shadow stacks, queues and barrier lists have what
            // their unsafe functions were promised: live objects of this heap, which no thread frees
            // before this mark phase ends (Y1).
            unsafe { marking.advance(&self.pool, &self.heap, deadline, seeds) };
            if !marking.is_done() {
                return;
            }
            *phase = MarkPhase::ClearHandles;
            mutant!("keeps handles" => { *phase = MarkPhase::FindFinalizable; });
            self.heap.begin_clear_weak_handles();
        }
        if *phase == MarkPhase::ClearHandles {
            let mut counts = WeakCounts::default();
            // SAFETY: the world is stopped, and no worker marks; what can be reached is marked, but
            // what finalizers revive.
            while !unsafe { self.heap.clear_weak_handles(HANDLES_CLEARED, &mut counts) } {
                if is_over() {
                    marking.count(counts.objects, counts.bytes);
                    return;
                }
            }
            marking.count(counts.objects, counts.bytes);
            *phase = MarkPhase::FindFinalizable;
            self.finalizers.begin_find(world);
        }
        if *phase == MarkPhase::FindFinalizable {
            while self.finalizers.find_some(world) == Seeds::More {
                if is_over() {
                    return;
                }
            }
            // What an intern set has shown since marking was done.
            self.take_over_grey(world, marking);
            *phase = MarkPhase::Revive;
            if self.finalizers.begin_revival() {
                marking.begin_revival();
            }
        }
        if *phase == MarkPhase::Revive {
            if !marking.is_done() {
                let seeds = |visit: &mut dyn FnMut(NonNull<u8>)| self.finalizers.visit_some(visit);
                // SAFETY: as above.
                unsafe { marking.advance(&self.pool, &self.heap, deadline, seeds) };
            }
            if !marking.is_done() {
                return;
            }
            *phase = MarkPhase::Clear;
            self.weak.begin_clear(world);
        }
        // SAFETY: the world is stopped; all that can be reached is marked, and nothing was swept.
        while !unsafe { marking.clear_ephemerons(&self.pool, &self.heap) }
            || !self.weak.clear_some(world)
            || !self.find_dead_samples(world)
        {
            if is_over() {
                return;
            }
        }
        *phase = MarkPhase::Done;
    }

    /// A part of the search for sampled objects that are dead, if the heap samples. Says whether it is
    /// over: then the collection completes in this stop. All else of it is done.
    fn find_dead_samples(&self, world: &WorldStopped<'_>) -> bool {
        // SAFETY: the world is stopped; all that can be reached is marked, and nothing was swept.
        // `mark` ends with it, so the collection is complete before the world is let go.
        let search = |sampling: &Sampling| unsafe { sampling.search_some(world) };
        self.sampling.as_ref().is_none_or(search)
    }

    /// Takes over what mutators have marked since the last step.
    fn take_over_grey(&self, world: &WorldStopped<'_>, marking: &mut Marking) {
        let Found { pages, finds, counts } = self.grey.take(world);
        marking.take_over(pages, finds, counts);
    }

    /// Lets mutators run before marking is over. They report what they change from here
    /// on (B2), and what they make counts as marked (M4); CY1.
    fn suspend_marking(&self, world: &WorldStopped<'_>, suspended: IncrementalMark, before: usize) {
        let phase = self.phase.get();
        if phase == Phase::Idle {
            // SAFETY: the world is stopped, and the first stop of a mark phase has flushed the
            // caches (`begin`).
            unsafe { self.heap.begin_allocate_black() };
            // SV6.
            self.heap.begin_hold();
        }
        let id = || match phase {
            Phase::Marking(id) | Phase::Reviving(id) => id,
            Phase::Idle | Phase::Clearing => MarkCycleId::next(),
        };
        match suspended.phase {
            MarkPhase::Trace => self.phase.set(Phase::Marking(id()), world),
            MarkPhase::ClearHandles | MarkPhase::FindFinalizable | MarkPhase::Revive => {
                self.phase.set(Phase::Reviving(id()), world);
            }
            MarkPhase::Clear | MarkPhase::Done => self.phase.set(Phase::Clearing, world),
        }
        let marked = suspended.marking.counts().bytes;
        // What clearing takes no part of the plan says.
        let step = match suspended.phase {
            MarkPhase::Trace | MarkPhase::Revive => marked - before,
            _ => 0,
        };
        self.budget.suspend(&suspended.plan, marked, step);
        *self.suspended.lock() = Some(suspended);
    }

    /// Everything that is reachable is marked: the sweep begins.
    fn complete(
        self: &Arc<Self>,
        collector: &CollectorLock<'_>,
        world: &WorldStopped<'_>,
        mutators: &[Arc<MutatorRecord>],
        suspended: IncrementalMark,
    ) {
        let mut counts = suspended.marking.counts();
        let mut allocated_black = 0;
        if self.is_collecting() {
            self.flush_caches(world, mutators);
            // SAFETY: the world is stopped, the caches were flushed just now, and marking is done.
            let (objects, bytes) = unsafe { self.heap.end_allocate_black() };
            counts += MarkCounts { objects, bytes };
            allocated_black = bytes;
            self.phase.set(Phase::Idle, world);
            // What the caches held is of this collection, and counting it may make a request.
            self.world.requests().clear_step(collector);
        }
        mutators.iter().for_each(|mutator| mutator.trim_shadow_stopped(world));
        // Every span needs sweeping; set the price of allocation, which sweeps no spans whose
        // objects have destructors. Stacks may come and go between the two loads.
        let pages = self.heap.pages_in_use().saturating_sub(self.heap.stack_pages());
        // SAFETY: the world is stopped, the caches are flushed, by `begin` or just now; everything
        // that can be reached is marked and traced, and weak tables have forgotten the rest (I1).
        let undropped = unsafe { self.heap.start_sweep() };
        let pages = pages.saturating_sub(undropped);
        self.heap.settle_stacks();
        let in_steps = self.config.mark_slice.is_some_and(|slice| suspended.mark_time > slice);
        self.budget.complete(counts.bytes, allocated_black, pages, in_steps, &*self.heap);
        let mut cycles = self.cycles.lock();
        cycles.collections += 1;
        cycles.marked_objects = counts.objects as u64;
        cycles.marked_bytes = counts.bytes as u64;
        cycles.traced_bytes = counts.bytes - allocated_black;
    }

    pub(crate) fn flush_caches(&self, world: &WorldStopped<'_>, mutators: &[Arc<MutatorRecord>]) {
        let mut busy = 0;
        for mutator in mutators.iter().filter(|mutator| mutator.caches_are_used()) {
            // SAFETY: the world of this heap is stopped, and the references end in this turn.
            let (cache, stacks) =
                unsafe { (mutator.cache_stopped(world), mutator.stacks_stopped(world)) };
            if cache.is_in_use() {
                // A mutator that does not allocate needs no partition.
                cache.move_to(Partition::of_mutator(busy));
                busy += 1;
            }
            self.flush(cache, stacks);
            mutator.set_caches_are_used(cache.is_in_use());
        }
        if busy > 0 {
            self.heap.set_partitions(busy);
        }
    }

    /// Sweeps what is left and waits for other sweepers.
    pub(crate) fn finish_sweep(&self) {
        let _ = self.sweep_while(Destructors::Run, SweepBy::Collector, |_| true);
        mutant!("does not wait for sweepers" => return);
        while !self.heap.sweep_is_over() {
            yield_now();
        }
        self.budget.settle_credit();
    }

    pub(crate) fn each_root(
        &self,
        world: &WorldStopped<'_>,
        mutators: &[Arc<MutatorRecord>],
        visit: &mut dyn FnMut(NonNull<u8>),
    ) {
        self.roots.each(&mut *visit);
        shadow_stacks(world, mutators, visit);
    }
}

/// Calls `visit` with the objects on the shadow stacks of these mutators, which are of the heap
/// whose world is stopped.
fn shadow_stacks(
    world: &WorldStopped<'_>,
    mutators: &[Arc<MutatorRecord>],
    visit: &mut dyn FnMut(NonNull<u8>),
) {
    mutant!("forgets shadow stacks" => return);
    for mutator in mutators {
        // SAFETY: the world of this heap is stopped; only mutators change a shadow stack.
        unsafe { mutator.shadow_stopped(world) }.iter().for_each(|object| visit(*object));
    }
}

/// Ends the process when a panic would leave marking half done: the next cycle
/// would take its marks for its own and free what is reachable.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        heap_core::corrupt!("a panic while marking");
    }
}
