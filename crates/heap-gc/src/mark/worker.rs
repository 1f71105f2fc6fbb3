//! [`Worker`]: takes pages, scans their grey objects, greys what they point at.
//!
//! Which pages need queueing is the protocol of [`page_flag`](heap_core::page_flag).
//!
//! * MK1: marked, not queued, not scanned and not in a worker's hands is
//!   impossible when marking ends.
//! * MK2: an object may be traced twice (two workers that mark it at the same
//!   time), never zero times. Tracing only reads, so twice is harmless.
//!
//! As long as one worker is alone there are no fences and no read-modify-writes.

use std::collections::VecDeque;
use std::ptr::NonNull;

use crossbeam_deque::{Steal, Worker as Deque};
use heap_core::kind::ObjectKind;
use heap_core::location::Location;
use heap_core::mark_byte::Found;
use heap_core::page_flag::{Parallel, announce_marks};
use heap_core::prefetch::prefetch;
use heap_core::tracer::{Batch, EdgeBuffer, Neighbours, Piece, WeakFinds};
use heap_sync::thread::{spin_loop, yield_now};

use super::deadline::Deadline;
use super::ephemerons::is_reached;
use super::grey::{MarkCounts, mark_grey};
use super::job::MarkJob;
use super::queue::{Page, Queue};
use super::scan::{Scanner, TakenPage};
use super::termination::Verdict;

/// How much of the work at hand a worker has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drained {
    Whole,
    Partly,
}

/// A mark phase that takes no more steps (objects, pages) and marks no more objects than these
/// is done by one worker: some ten microseconds, less than it takes to wake another. An odd
/// number, because chains of pages repeat after two, three or four steps. In builds with
/// assertions others are called after three steps whatever there is to do, so that the small
/// heaps of tests have several workers.
const STEPS_ALONE: usize = if cfg!(debug_assertions) { 3 } else { 31 };
const OBJECTS_ALONE: usize = 1024;
/// Pages at hand with which there is something to do for others. A chain never has as
/// many: one worker follows it, without fences.
const PAGES_TO_SHARE: usize = 2;

/// Steps between two looks at the clock: some ten microseconds. In builds with assertions
/// one step, so that the small heaps of tests are marked in many slices.
const STEPS_TIMED: usize = if cfg!(debug_assertions) { 1 } else { 32 };

/// A piece of a large object takes as long as this many pages.
const STEPS_PER_PIECE: usize = 32;

/// How much a worker does before it looks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DrainLimit {
    /// All there is at hand.
    Whole,
    /// What is done before a look at the clock.
    Timed,
    /// What is done alone before a look for work for others. A piece of a large object
    /// ends it: it is much work, and leads to more.
    Serial,
}

impl DrainLimit {
    /// Until the next look at the clock, if there is one to look at.
    pub(super) fn until(deadline: &Deadline, otherwise: DrainLimit) -> DrainLimit {
        if deadline.at.is_some() { DrainLimit::Timed } else { otherwise }
    }
}

/// Woken objects whose values are marked in one go, and those that take as long as a step.
const WOKEN_MAX: usize = if cfg!(debug_assertions) { 2 } else { 256 };
const WOKEN_PER_STEP: usize = 16;

/// Values that are looked at between two looks at the clock.
const RESOLVED_MAX: usize = if cfg!(debug_assertions) { 2 } else { 512 };

/// Pages on which a chain is followed in one step.
const CHAIN_MAX: usize = if cfg!(debug_assertions) { 4 } else { 256 };

/// Batches up to this size go object by object while the queue is empty: chains
/// (lists) would otherwise pay for a page scan per object.
const DIRECT_MAX: usize = 4;

/// Edges are looked at when there are this many of them: by then the mark bytes that were asked for
/// first have arrived.
const EDGE_BATCH: usize = 256;

pub(super) struct Worker<'j, Q> {
    pub(super) job: &'j MarkJob,
    index: usize,
    pub(super) queue: Q,
    /// Objects to be traced one by one; bounded by `DIRECT_MAX`.
    direct: Vec<Location>,
    /// The page whose objects' memory is on its way.
    taken: Option<TakenPage>,
    scanner: Scanner,
    /// The batch of `scan_chain`.
    chain: Batch,
    buffer: EdgeBuffer,
    /// Freshly marked objects of the current batch.
    pub(super) fresh: Vec<Location>,
    /// What is weak, and what was awaited, of what this worker has found.
    pub(super) finds: WeakFinds,
    pub(super) counts: MarkCounts,
}

impl<'j, Q: Queue> Worker<'j, Q> {
    pub(super) fn new(job: &'j MarkJob, index: usize, queue: Q) -> Self {
        Worker {
            job,
            index,
            queue,
            direct: Vec::with_capacity(DIRECT_MAX),
            taken: None,
            scanner: Scanner::new(job.isa),
            chain: Batch::default(),
            buffer: EdgeBuffer::with_capacity(4096),
            fresh: Vec::with_capacity(4096),
            finds: WeakFinds::default(),
            counts: MarkCounts::default(),
        }
    }

    /// Greys the edges that tracing found and hands the fresh objects on.
    #[inline]
    fn drain_edges(&mut self) {
        let woken = &mut self.finds.woken;
        for edge in self.buffer.edges() {
            // SAFETY: edges are handles to live objects of this heap (K2).
            unsafe { mark_grey::<Q::MarkMode>(*edge, &mut self.fresh, woken, &mut self.counts) };
        }
        self.buffer.clear_edges();
        if self.buffer.has_pieces() {
            self.job.pieces.share(&mut self.buffer);
        }
        if self.buffer.has_finds() {
            self.take_finds();
        }
        self.flush();
    }

    /// Takes what tracing has found beside edges.
    #[cold]
    fn take_finds(&mut self) {
        let from = self.buffer.finds();
        let WeakFinds { woken, pending, holders } = &mut self.finds;
        woken.append(&mut from.woken);
        holders.append(&mut from.holders);
        // A look at once: what lies side by side was often made one after the other, and a chain along
        // that order is followed while it is in the processor's cache.
        for one in from.pending.drain(..) {
            if is_reached(&one) {
                // SAFETY: values were found as edges are (contract of `Tracer::ephemeron`), and live.
                unsafe {
                    mark_grey::<Q::MarkMode>(one.value, &mut self.fresh, woken, &mut self.counts);
                }
            } else {
                pending.push(one);
            }
        }
    }

    /// Marks an object that is a root, or the value of an ephemeron whose key is reached.
    ///
    /// # Safety
    ///
    /// As [`mark_grey`].
    pub(super) unsafe fn mark(&mut self, object: NonNull<u8>) {
        let (fresh, woken) = (&mut self.fresh, &mut self.finds.woken);
        // SAFETY: forwarded from the caller.
        unsafe { mark_grey::<Q::MarkMode>(object, fresh, woken, &mut self.counts) };
    }

    /// Marks the values that wait for some of the objects that this worker has woken (EP1). Returns
    /// how many objects these were.
    #[cold]
    fn wake_some(&mut self) -> usize {
        let ephemerons = self.job.ephemerons.lock();
        let (fresh, counts) = (&mut self.fresh, &mut self.counts);
        let mut count = 0;
        // The values of one may be awaited themselves: a chain goes on here.
        while count < WOKEN_MAX
            && let Some(key) = self.finds.woken.pop()
        {
            count += 1;
            let woken = &mut self.finds.woken;
            // SAFETY: values were found as edges are (contract of `Tracer::ephemeron`), and live.
            let mark = |value| unsafe {
                mark_grey::<Q::MarkMode>(value, fresh, woken, counts);
            };
            // SAFETY: it was awaited, as the marker that has woken it has seen.
            unsafe { ephemerons.wake(key, mark) };
        }
        drop(ephemerons);
        self.flush();
        count
    }

    /// Looks at some values that wait for their keys, when nothing else is left to do. Says whether
    /// there were any.
    ///
    /// No other worker marks (EP2).
    pub(super) fn resolve_some(&mut self) -> bool {
        let mut ephemerons = self.job.ephemerons.lock();
        ephemerons.take_finds(&mut self.finds);
        self.finds.woken.append(&mut ephemerons.woken);
        if !self.finds.woken.is_empty() {
            // They lead to more.
            return true;
        }
        let (fresh, counts) = (&mut self.fresh, &mut self.counts);
        let woken = &mut self.finds.woken;
        // SAFETY: as in `wake_some`.
        let more = ephemerons.resolve(RESOLVED_MAX, |value| unsafe {
            mark_grey::<Q::MarkMode>(value, fresh, woken, counts);
        });
        drop(ephemerons);
        self.flush();
        more
    }

    /// Leaves what is weak, and what was awaited, to the next step or to the worker that goes on alone.
    pub(super) fn leave_finds(&mut self) {
        if !self.finds.is_empty() {
            self.job.ephemerons.lock().take_finds(&mut self.finds);
        }
    }

    /// Queues the pages of the freshly marked objects, or takes the objects
    /// straight on if they are few and there is nothing else to do.
    #[inline]
    pub(super) fn flush(&mut self) {
        if self.fresh.len() + self.direct.len() <= DIRECT_MAX
            && self.queue.is_empty()
            && self.taken.is_none()
        {
            for object in self.fresh.drain(..) {
                prefetch(object.pointer().as_ptr());
                self.direct.push(object);
            }
            return;
        }
        self.queue_fresh();
    }

    /// Queues the pages of the freshly marked objects.
    #[inline]
    fn queue_fresh(&mut self) {
        announce_marks::<Q::MarkMode>();
        for object in self.fresh.drain(..) {
            if object.page_flag().must_queue::<Q::MarkMode>() {
                self.queue.push(Page::of(object));
            }
        }
    }

    /// Second half of the scan of a page.
    fn finish_page(&mut self, taken: TakenPage) {
        self.scanner.finish(taken, &mut self.buffer, &mut self.counts);
        if self.buffer.len() >= EDGE_BATCH {
            self.drain_edges();
        }
    }

    /// Traces one object that this worker has just marked, and the chain that hangs on it: as long
    /// as it stays on the page, as part of the batch, and then, while there is just one edge and
    /// nothing else is to be done, on the page of that edge's target. The chain is bounded, because
    /// the caller may have to look at the clock. Returns the number of pages.
    ///
    /// # Safety
    ///
    /// `object` was marked by this worker, as [`mark_grey`] wants it, and has handles.
    unsafe fn scan_chain(&mut self, mut object: Location) -> usize {
        let mut pages = 0;
        loop {
            pages += 1;
            object.mark().mark_black();
            let kind = object.kind().expect("M2: a marked object has a kind");
            let trace = kind.trace_batch().expect("noscan objects are never traced");
            let page = object.page().pointer().as_ptr();
            let batch = &mut self.chain;
            batch.clear();
            batch.push(object.granule());
            // SAFETY: as in `Scanner::finish`, for this one object.
            unsafe {
                let neighbours = Neighbours::Trace(object.page_marks());
                self.buffer.trace(trace, page, batch, neighbours);
            }
            self.counts.count(batch.count(), object.slot_bytes());
            let &[next] = self.buffer.edges() else { break };
            if self.has_more_to_do() || pages == CHAIN_MAX || self.buffer.has_finds() {
                break;
            }
            // SAFETY: as in `drain_edges`; it is traced next, if it is white.
            let next = unsafe { Location::of(next) };
            if next.page_flag().is_noscan() {
                break;
            }
            match next.mark().find() {
                Found::White => {}
                Found::Reached => {
                    self.buffer.clear_edges();
                    return pages;
                }
                Found::Awaited => break,
            }
            self.buffer.clear_edges();
            object = next;
        }
        self.drain_edges();
        pages
    }

    /// Whether anything but the edges in the buffer waits for this worker.
    #[inline(always)]
    fn has_more_to_do(&self) -> bool {
        !self.queue.is_empty()
            || !self.direct.is_empty()
            || self.taken.is_some()
            || self.buffer.has_pieces()
    }

    /// Traces a piece of a large object.
    ///
    /// # Safety
    ///
    /// It was deferred in this marking ([`Pieces::take`](super::pieces::Pieces::take)).
    unsafe fn scan_piece(&mut self, piece: Piece) {
        // SAFETY: pieces are of live objects of this heap (contract of `Tracer::defer`).
        let kind = unsafe { Location::of(piece.object) }.kind();
        let trace = kind.and_then(ObjectKind::trace_piece).expect("only such kinds defer pieces");
        // SAFETY: the stretch lies within the object's contents.
        unsafe { self.buffer.trace_piece(trace, piece) };
        self.drain_edges();
    }

    /// Turns what is at hand into pages in the queue and pieces in the list.
    #[cold]
    pub(super) fn suspend(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.finish_page(taken);
        }
        self.drain_edges();
        self.fresh.append(&mut self.direct);
        self.queue_fresh();
        self.leave_finds();
    }

    /// Works until nothing is at hand, or the limit is reached.
    pub(super) fn drain(&mut self, limit: DrainLimit) -> Drained {
        let (steps, objects) = match limit {
            DrainLimit::Whole => (usize::MAX, usize::MAX),
            DrainLimit::Timed => (STEPS_TIMED, usize::MAX),
            DrainLimit::Serial => (STEPS_ALONE, self.counts.objects + OBJECTS_ALONE),
        };
        let mut done = 0;
        while done < steps {
            if self.counts.objects >= objects {
                return Drained::Partly;
            }
            done += 1;
            if let Some(object) = self.direct.pop() {
                // SAFETY: `direct` has what `flush` gave this worker to trace.
                done += unsafe { self.scan_chain(object) } - 1;
            } else if limit == DrainLimit::Serial && self.job.pieces.any() {
                return Drained::Partly;
            } else if let Some(piece) = self.job.pieces.take() {
                // Large objects first: they fill the queue, and a page waits the
                // longer, the more of its objects are grey when its turn comes.
                // SAFETY: taken just now.
                unsafe { self.scan_piece(piece) };
                done += STEPS_PER_PIECE - 1;
            } else if let Some(page) = self.queue.pop() {
                let taken = self.scanner.begin::<Q::MarkMode>(page);
                if let Some(before) = self.taken.replace(taken) {
                    self.finish_page(before);
                }
            } else if let Some(taken) = self.taken.take() {
                self.finish_page(taken);
            } else if !self.buffer.is_empty() || self.buffer.has_pieces() || self.buffer.has_finds()
            {
                self.drain_edges();
            } else if !self.finds.woken.is_empty() {
                done += self.wake_some() / WOKEN_PER_STEP;
            } else {
                return Drained::Whole;
            }
        }
        Drained::Partly
    }
}

impl Worker<'_, VecDeque<Page>> {
    /// Whether another worker would find something to do.
    pub(super) fn has_work_for_others(&self) -> bool {
        let pages = self.queue.len() + usize::from(self.taken.is_some());
        pages >= PAGES_TO_SHARE || self.job.pieces.any() || cfg!(debug_assertions)
    }

    /// Goes on as the first worker of a job that others take part in, which has the
    /// pieces already.
    pub(super) fn into_parallel(
        self,
        job: &MarkJob,
        queue: Deque<Page>,
    ) -> Worker<'_, Deque<Page>> {
        self.queue.into_iter().for_each(|page| queue.push(page));
        Worker {
            job,
            index: 0,
            queue,
            direct: self.direct,
            taken: self.taken,
            scanner: self.scanner,
            chain: self.chain,
            buffer: self.buffer,
            fresh: self.fresh,
            finds: self.finds,
            counts: self.counts,
        }
    }
}

impl Worker<'_, Deque<Page>> {
    fn steal(&self) -> Option<Page> {
        let others = self.job.stealers.len();
        for offset in 1..others {
            let victim = &self.job.stealers[(self.index + offset) % others];
            loop {
                match victim.steal_batch_and_pop(&self.queue) {
                    Steal::Success(page) => return Some(page),
                    Steal::Retry => {}
                    Steal::Empty => break,
                }
            }
        }
        None
    }

    pub(super) fn run(&mut self) {
        let job = self.job;
        loop {
            let drained = self.drain(DrainLimit::until(&job.deadline, DrainLimit::Whole));
            if job.deadline.is_over() {
                self.leave_work();
                return;
            }
            if drained == Drained::Partly {
                continue;
            }
            if let Some(page) = self.steal() {
                self.taken = Some(self.scanner.begin::<Parallel>(page));
                continue;
            }
            // TE4: a worker that has left its work is still counted as active, and no worker need
            // wait for it.
            let sighted = || {
                job.pieces.any()
                    || job.stealers.iter().any(|stealer| !stealer.is_empty())
                    || job.deadline.is_over()
            };
            let relax = |spins: u32| {
                if spins % 64 == 63 { yield_now() } else { spin_loop() }
            };
            if job.termination.idle(sighted, relax) == Verdict::Over {
                self.leave_finds();
                return;
            }
        }
    }

    /// Leaves everything at hand for later.
    #[cold]
    fn leave_work(&mut self) {
        self.suspend();
        let mut left = self.job.left.lock();
        left.extend(std::iter::from_fn(|| self.queue.pop()));
    }
}
