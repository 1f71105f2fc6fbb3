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

use crossbeam_deque::Steal;
use heap_core::kind::ObjectKind;
use heap_core::location::Location;
use heap_core::mark_byte::Found;
use heap_core::marks::{Isa, marked_masks};
use heap_core::mheap::{MHeap, PageSearch};
use heap_core::page_flag::{Parallel, announce_marks};
use heap_core::prefetch::prefetch;
use heap_core::tracer::{Batch, EdgeBuffer, Finds, Neighbours, Piece, Spill};
use heap_sync::atomic::Ordering;
use heap_sync::thread::{spin_loop, yield_now};

use super::deadline::Deadline;
use super::ephemerons::is_reached;
use super::grey::{MarkCounts, mark_grey, spill};
use super::job::MarkJob;
use super::queue::{Page, PageLost, Queue, SharedQueue};
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

/// Freshly marked objects that a worker keeps before it queues their pages.
const FRESH_MAX: usize = 1024;

/// Edges for which a worker has room, if the system has the memory.
const EDGES_USUAL: usize = 4096;

/// What a worker needs to mark without asking for memory (MK5). The collecting thread's is made with
/// the heap.
#[derive(Debug)]
pub(super) struct WorkerMemory {
    /// See [`Worker`].
    direct: Vec<Location>,
    scanner: Scanner,
    pub(super) chain: Batch,
    fresh: Vec<Location>,
}

impl WorkerMemory {
    /// None if the system refuses it.
    pub(super) fn try_new(isa: Isa) -> Option<WorkerMemory> {
        let (mut direct, mut fresh) = (Vec::new(), Vec::new());
        direct.try_reserve_exact(DIRECT_MAX).ok()?;
        fresh.try_reserve_exact(FRESH_MAX + DIRECT_MAX).ok()?;
        let scanner = Scanner::try_new(isa)?;
        let chain = Batch::try_new()?;
        Some(WorkerMemory { direct, scanner, chain, fresh })
    }
}

pub(super) struct Worker<'j, Q> {
    pub(super) job: &'j MarkJob<'j>,
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
    /// Freshly marked objects of the current batch; bounded by its capacity.
    fresh: Vec<Location>,
    /// What is weak, and what was awaited, of what this worker has found.
    pub(super) finds: Finds,
    pub(super) counts: MarkCounts,
}

/// Queues the pages of the freshly marked objects, as far as there is memory (MK5).
#[inline]
fn queue_pages<Q: Queue>(fresh: &mut Vec<Location>, queue: &mut Q, finds: &mut Finds) {
    announce_marks::<Q::MarkMode>();
    for object in fresh.drain(..) {
        if object.page_flag().must_queue::<Q::MarkMode>()
            && let Err(PageLost) = queue.push(Page::of(object))
        {
            finds.pages_lost = true;
        }
    }
}

impl<'j, Q: Queue> Worker<'j, Q> {
    pub(super) fn new(
        job: &'j MarkJob<'j>,
        index: usize,
        queue: Q,
        memory: WorkerMemory,
    ) -> Worker<'j, Q> {
        let WorkerMemory { direct, scanner, chain, fresh } = memory;
        let mut buffer = EdgeBuffer::default();
        buffer.reserve(EDGES_USUAL);
        Self::spill_edges(&mut buffer);
        let (finds, counts) = Default::default();
        let taken = None;
        Worker { job, index, queue, direct, taken, scanner, chain, buffer, fresh, finds, counts }
    }

    /// Has edges for which there is no memory marked at once.
    fn spill_edges(buffer: &mut EdgeBuffer) {
        let to = Spill::new(spill::<Q::MarkMode>, std::ptr::null());
        // SAFETY: the buffer is a worker's as long as it traces, so a mark phase is under way; edges are
        // handles to live objects (K2). The function needs no context.
        unsafe { buffer.spill_to(Some(to)) };
    }

    /// Gives back what it worked with.
    pub(super) fn into_memory(self) -> (WorkerMemory, Q) {
        let Worker { direct, scanner, chain, buffer, fresh, queue, .. } = self;
        debug_assert!(direct.is_empty() && fresh.is_empty() && buffer.is_empty(), "MK1");
        (WorkerMemory { direct, scanner, chain, fresh }, queue)
    }

    /// Greys the edges that tracing found and hands the fresh objects on.
    #[inline]
    fn drain_edges(&mut self) {
        self.grey_edges();
        if self.buffer.has_pieces() {
            self.share_pieces();
        }
        if self.buffer.has_finds() {
            self.take_finds();
        }
        self.flush();
    }

    /// Greys the edges that tracing found.
    #[inline]
    fn grey_edges(&mut self) {
        let (fresh, finds, counts) = (&mut self.fresh, &mut self.finds, &mut self.counts);
        for edges in self.buffer.edges().chunks(FRESH_MAX) {
            if fresh.len() + edges.len() > FRESH_MAX {
                queue_pages(fresh, &mut self.queue, finds);
            }
            for edge in edges {
                // SAFETY: edges are handles to live objects of this heap (K2).
                if let Some(object) = unsafe { mark_grey::<Q::MarkMode>(*edge, finds, counts) } {
                    fresh.push(object);
                }
            }
        }
        self.buffer.clear_edges();
    }

    /// Shares the pieces that tracing has deferred. Those for which there is no memory are traced now.
    #[cold]
    fn share_pieces(&mut self) {
        self.job.pieces.share(&mut self.buffer);
        while let Some(piece) = self.buffer.take_piece() {
            // SAFETY: deferred just now.
            unsafe { self.trace_piece(piece) };
            self.grey_edges();
        }
    }

    /// Takes what tracing has found beside edges.
    #[cold]
    fn take_finds(&mut self) {
        let from = std::mem::take(self.buffer.finds());
        let (fresh, finds, counts) = (&mut self.fresh, &mut self.finds, &mut self.counts);
        for key in from.woken {
            finds.wake(key);
        }
        finds.weak_lost |= from.weak_lost | !append(&mut finds.holders, from.holders);
        finds.pages_lost |= from.pages_lost;
        *counts += MarkCounts { objects: from.spilled_objects, bytes: from.spilled_bytes };
        // A look at once: what lies side by side was often made one after the other, and a chain along
        // that order is followed while it is in the processor's cache.
        for one in from.pending {
            if is_reached(&one) {
                // SAFETY: values were found as edges are (contract of `Tracer::ephemeron`), and live.
                fresh.extend(unsafe { mark_grey::<Q::MarkMode>(one.value, finds, counts) });
                if fresh.len() == FRESH_MAX {
                    queue_pages(fresh, &mut self.queue, finds);
                }
            } else {
                finds.wait(one);
            }
        }
    }

    /// Marks an object that is a root, or the value of an ephemeron whose key is reached.
    ///
    /// # Safety
    ///
    /// As [`mark_grey`].
    pub(super) unsafe fn mark(&mut self, object: NonNull<u8>) {
        let (fresh, finds) = (&mut self.fresh, &mut self.finds);
        // SAFETY: forwarded from the caller.
        fresh.extend(unsafe { mark_grey::<Q::MarkMode>(object, finds, &mut self.counts) });
        if fresh.len() == FRESH_MAX {
            queue_pages(fresh, &mut self.queue, finds);
        }
    }

    /// Marks the values that wait for some of the objects that this worker has woken (EP1). Returns
    /// how many objects these were.
    #[cold]
    fn wake_some(&mut self) -> usize {
        let ephemerons = self.job.ephemerons.lock();
        let mut count = 0;
        // The values of one may be awaited themselves: a chain goes on here.
        while count < WOKEN_MAX
            && let Some(key) = self.finds.woken.pop()
        {
            count += 1;
            // SAFETY: values were found as edges are (contract of `Tracer::ephemeron`), and live.
            let mark = |value| unsafe { self.mark(value) };
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
    ///
    /// # Safety
    ///
    /// The world is stopped, and this is a mark phase of the heap.
    pub(super) unsafe fn resolve_some(&mut self, heap: &MHeap) -> bool {
        let job = self.job;
        let mut ephemerons = job.ephemerons.lock();
        ephemerons.take_finds(&mut self.finds);
        std::mem::swap(&mut self.finds.woken, &mut ephemerons.woken);
        if !self.finds.woken.is_empty() {
            // They lead to more.
            return true;
        }
        // First, because it finds anew what is to be resolved.
        // SAFETY: forwarded from the caller.
        match unsafe { ephemerons.retrace(heap, self.counts.objects) } {
            None => {}
            Some(PageSearch::Found(page)) => {
                drop(ephemerons);
                self.retrace_page(page);
                return true;
            }
            Some(PageSearch::More | PageSearch::Done) => return true,
        }
        // SAFETY: as in `wake_some`.
        let more = ephemerons.resolve(RESOLVED_MAX, |value| unsafe { self.mark(value) });
        drop(ephemerons);
        self.flush();
        more
    }

    /// Traces what is marked on a page once more, for what is weak.
    #[cold]
    fn retrace_page(&mut self, page: Location) {
        // SAFETY: what is marked lives, and no mutator is inside.
        unsafe { trace_marked(self.job.isa, page, &mut self.buffer, &mut self.chain) };
        self.drain_edges();
    }

    /// Leaves what is weak, and what was awaited, to the next step or to the worker that goes on alone.
    pub(super) fn leave_finds(&mut self) {
        if !self.finds.is_empty() {
            self.job.ephemerons.lock().take_finds(&mut self.finds);
        }
        if std::mem::take(&mut self.finds.pages_lost) {
            // ORDERING: Relaxed: read when the workers were waited for.
            self.job.pages_lost.store(true, Ordering::Relaxed);
        }
    }

    /// Takes a page that was lost and is in no queue: to be scanned next.
    pub(super) fn take_page(&mut self, page: Page) {
        let taken = self.scanner.begin::<Q::MarkMode>(page);
        if let Some(before) = self.taken.replace(taken) {
            self.finish_page(before);
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
        queue_pages(&mut self.fresh, &mut self.queue, &mut self.finds);
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
        // SAFETY: forwarded from the caller.
        unsafe { self.trace_piece(piece) };
        self.drain_edges();
    }

    /// # Safety
    ///
    /// As [`Worker::scan_piece`].
    unsafe fn trace_piece(&mut self, piece: Piece) {
        // SAFETY: forwarded from the caller.
        unsafe { trace_piece(piece, &mut self.buffer) };
    }

    /// Turns what is at hand into pages in the queue and pieces in the list.
    #[cold]
    pub(super) fn suspend(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.finish_page(taken);
        }
        self.drain_edges();
        // There is room for them beside `FRESH_MAX`.
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
    /// pieces already. Returns the memory of the queue as well.
    pub(super) fn into_parallel<'p>(
        self,
        job: &'p MarkJob<'p>,
        mut queue: SharedQueue,
    ) -> (Worker<'p, SharedQueue>, VecDeque<Page>) {
        let Worker { queue: mut pages, mut finds, mut buffer, .. } = self;
        for page in pages.drain(..) {
            // Its flag says that it is queued.
            finds.pages_lost |= Queue::push(&mut queue, page).is_err();
        }
        Worker::<SharedQueue>::spill_edges(&mut buffer);
        let Worker { direct, taken, scanner, chain, fresh, counts, .. } = self;
        let index = 0;
        let worker = Worker {
            job,
            index,
            queue,
            direct,
            taken,
            scanner,
            chain,
            buffer,
            fresh,
            finds,
            counts,
        };
        (worker, pages)
    }
}

impl Worker<'_, SharedQueue> {
    fn steal(&self) -> Option<Page> {
        let others = self.job.stealers.len();
        for offset in 1..others {
            let victim = &self.job.stealers[(self.index + offset) % others];
            loop {
                match self.queue.steal_from(victim) {
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
        while let Some(page) = self.queue.pop() {
            if let Err(PageLost) = Queue::push(&mut *left, page) {
                // ORDERING: as in `leave_finds`.
                self.job.pages_lost.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// Moves everything from one list to another; says whether there was memory for it.
pub(crate) fn append<T>(to: &mut Vec<T>, mut from: Vec<T>) -> bool {
    if to.is_empty() {
        *to = from;
        return true;
    }
    let has_room = to.try_reserve(from.len()).is_ok();
    if has_room {
        to.append(&mut from);
    }
    has_room
}

/// Traces what is marked on a page, as the buffer's [`Weakness`](heap_core::tracer::Weakness) says.
/// What large objects defer is traced at once.
///
/// # Safety
///
/// The page has objects with handles. There are no writers to those that are marked, which live.
pub(super) unsafe fn trace_marked(
    isa: Isa,
    page: Location,
    buffer: &mut EdgeBuffer,
    batch: &mut Batch,
) {
    let kind = page.kind().expect("M2: a page with marks has a kind");
    let trace = kind.trace_batch().expect("it was traced");
    batch.clear();
    for (block, mask) in marked_masks(isa, page.page_marks()).into_iter().enumerate() {
        let mut left = mask;
        while left != 0 {
            let granule = block * 64 + left.trailing_zeros() as usize;
            left &= left - 1;
            if !page.page_marks()[granule].is_white() {
                batch.push(granule);
            }
        }
    }
    // SAFETY: marks are at starts of objects, which live, and are of the page's kind (K1). Forwarded
    // from the caller.
    unsafe { buffer.trace(trace, page.pointer().as_ptr(), batch, Neighbours::Report) };
    while let Some(piece) = buffer.take_piece() {
        // SAFETY: deferred just now.
        unsafe { trace_piece(piece, buffer) };
    }
}

/// Traces a piece.
///
/// # Safety
///
/// It was deferred in this marking, and there are no writers to it.
pub(super) unsafe fn trace_piece(piece: Piece, buffer: &mut EdgeBuffer) {
    let of_kind = || {
        // SAFETY: pieces that do not say how are of live objects of this heap (contract of
        // `Tracer::defer`).
        let kind = unsafe { Location::of(piece.object) }.kind();
        kind.and_then(ObjectKind::trace_piece).expect("only such kinds defer pieces")
    };
    let trace = piece.trace.unwrap_or_else(of_kind);
    // SAFETY: the stretch lies within the contents (contract of `Tracer::defer`).
    unsafe { buffer.trace_piece(trace, piece) };
}
