//! [`Worker`]: takes pages, scans their grey objects, greys what they point at; and
//! [`MarkJob`], what workers share.
//!
//! Which pages need queueing is the protocol of [`page_flag`](heap_core::page_flag).
//!
//! While a page is traced, the objects of the same page that it leads to are
//! marked and traced with it ([`Neighbours::Trace`]): they take no way through the
//! edges and the queue. So a page with a subtree on it is scanned about once, not once per level.
//!
//! * MK1: marked, not queued, not scanned and not in a worker's hands is
//!   impossible when marking ends.
//! * MK2: an object may be traced twice (two workers that mark it at the same
//!   time), never zero times. Tracing only reads, so twice is harmless.
//!
//! As long as one worker is alone there are no fences and no read-modify-writes.

use std::collections::VecDeque;
use std::ptr::NonNull;

use crossbeam_deque::{Steal, Stealer, Worker as Deque};
use heap_core::geometry::{GRANULE, GRANULE_SHIFT, PAGE_GRANULES};
use heap_core::kind::ObjectKind;
use heap_core::location::Location;
use heap_core::marks::{Isa, grey_masks};
use heap_core::page_flag::{MarkMode, Parallel, Serial, announce_marks};
use heap_core::prefetch::{prefetch, prefetch_later};
use heap_core::tracer::{Batch, EdgeBuffer, Neighbours, PIECE_BYTES, Piece, TraceBatchFn};
use heap_sync::atomic::{AtomicUsize, Ordering};
use heap_sync::lock::Mutex;

use super::deadline::Deadline;
use super::termination::{Termination, Verdict};

/// What marking found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MarkCounts {
    /// Objects marked. With several workers an upper bound (MK2).
    pub(crate) objects: usize,
    /// Bytes of their slots; likewise.
    pub(crate) bytes: usize,
}

impl MarkCounts {
    #[inline(always)]
    pub(crate) fn count(&mut self, objects: usize, slot_bytes: usize) {
        self.objects += objects;
        self.bytes += objects * slot_bytes;
    }
}

impl std::ops::AddAssign for MarkCounts {
    fn add_assign(&mut self, other: Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
    }
}

/// A page with grey objects: its first byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page(Location);

/// A piece of a large object, for the shared list.
#[derive(Debug)]
pub(super) struct SharedPiece(Piece);

// SAFETY: an address of the heap being marked, which outlives marking; any worker may trace
// what is there.
unsafe impl Send for SharedPiece {}

/// What the workers of a cycle share.
#[derive(Debug)]
pub(super) struct MarkJob {
    pub(super) isa: Isa,
    stealers: Vec<Stealer<Page>>,
    pub(super) termination: Termination,
    /// Pieces of large objects that any worker may scan.
    pub(super) pieces: Mutex<Vec<SharedPiece>>,
    pieces_len: AtomicUsize,
    /// When to leave the work for later.
    pub(super) deadline: Deadline,
    /// Pages that were left for later.
    pub(super) left: Mutex<VecDeque<Page>>,
}

impl MarkJob {
    pub(super) fn new(
        isa: Isa,
        stealers: Vec<Stealer<Page>>,
        pieces: Vec<SharedPiece>,
        deadline: Deadline,
    ) -> MarkJob {
        MarkJob {
            isa,
            stealers,
            termination: Termination::new(),
            pieces_len: AtomicUsize::new(pieces.len()),
            pieces: Mutex::new(pieces),
            deadline,
            left: Mutex::default(),
        }
    }

    /// Whether there are pieces for any worker.
    fn has_pieces(&self) -> bool {
        // ORDERING: Acquire pairs with the Release of the worker that changed the list.
        self.pieces_len.load(Ordering::Acquire) != 0
    }
}

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
pub(super) enum Budget {
    /// All there is at hand.
    Whole,
    /// What is done before a look at the clock.
    Timed,
    /// What is done alone before a look for work for others. A piece of a large object
    /// ends it: it is much work, and leads to more.
    Serial,
}

impl Budget {
    /// Until the next look at the clock, if there is one to look at.
    pub(super) fn until(deadline: &Deadline, otherwise: Budget) -> Budget {
        if deadline.at.is_some() { Budget::Timed } else { otherwise }
    }
}

/// Where a worker keeps its pages.
pub(super) trait Queue {
    /// Whether other workers mark at the same time.
    type MarkMode: MarkMode;
    fn push(&mut self, page: Page);
    fn pop(&mut self) -> Option<Page>;
    fn is_empty(&self) -> bool;
}

impl Queue for VecDeque<Page> {
    type MarkMode = Serial;
    #[inline(always)]
    fn push(&mut self, page: Page) {
        self.push_back(page);
    }
    #[inline(always)]
    fn pop(&mut self) -> Option<Page> {
        let page = self.pop_front()?;
        // The marks of the page after next will be there when it is its turn.
        if let Some(soon) = self.get(1) {
            for line in soon.0.page_marks().chunks_exact(64) {
                prefetch_later(line.as_ptr().cast());
            }
        }
        Some(page)
    }
    #[inline(always)]
    fn is_empty(&self) -> bool {
        VecDeque::is_empty(self)
    }
}

impl Queue for Deque<Page> {
    type MarkMode = Parallel;
    #[inline(always)]
    fn push(&mut self, page: Page) {
        Deque::push(self, page);
    }
    #[inline(always)]
    fn pop(&mut self) -> Option<Page> {
        Deque::pop(self)
    }
    #[inline(always)]
    fn is_empty(&self) -> bool {
        Deque::is_empty(self)
    }
}

/// Pages on which a chain is followed in one step.
const CHAIN_MAX: usize = if cfg!(debug_assertions) { 4 } else { 256 };

/// Batches up to this size go object by object while the queue is empty: chains
/// (lists) would otherwise pay for a page scan per object.
const DIRECT_MAX: usize = 4;

/// A page between the two halves of its scan, with the objects to trace.
#[derive(Debug)]
struct TakenPage {
    page: Page,
    trace: TraceBatchFn,
    slot_bytes: usize,
    batch: Batch,
}

/// Edges are looked at when there are this many of them: by then the mark bytes that were asked for
/// first have arrived.
const EDGE_BATCH: usize = 256;

/// One bit per cache line in the mask of a block: that of its first granule.
const LINES: u64 = 0x1111_1111_1111_1111;

/// A page is asked for whole when the pages before it led to this many objects on themselves, per
/// page: most of its lines will be wanted, not only those of its grey objects.
const MANY_NEIGHBOURS: usize = 16;

/// How many of the objects traced with a page were not grey when it was taken: a
/// moving average over some eight pages, times eight.
#[derive(Debug, Default)]
struct NeighbourCount(usize);

impl NeighbourCount {
    #[inline(always)]
    fn add(&mut self, neighbours: usize) {
        self.0 = self.0 - self.0 / 8 + neighbours;
    }

    /// The lines to ask for beside those of grey objects.
    #[inline(always)]
    fn lines(&self) -> u64 {
        if self.0 >= MANY_NEIGHBOURS * 8 { LINES } else { 0 }
    }
}

/// Marks an object if it is white. `fresh` takes it if its page must perhaps be queued.
///
/// # Safety
///
/// A mark phase of the object's heap is under way. `object` is the start of a live object, or
/// lies in a slot that objects share; with provenance over its arena.
#[inline(always)]
pub(crate) unsafe fn mark_grey<M: MarkMode>(
    object: NonNull<u8>,
    fresh: &mut Vec<Location>,
    counts: &mut MarkCounts,
) {
    // SAFETY: forwarded from the caller; what turns grey is traced (MK1).
    let object = unsafe { Location::of(object) };
    let mark = object.mark();
    // A racing worker at worst marks the same object again (MK2).
    if !mark.is_white() {
        return;
    }
    let flag = object.page_flag();
    if flag.is_noscan() {
        mark.mark_black();
        counts.count(1, object.slot_bytes());
        return;
    }
    mark.mark_grey();
    if !flag.is_surely_queued::<M>() {
        fresh.push(object);
    }
}

pub(super) struct Worker<'j, Q> {
    pub(super) job: &'j MarkJob,
    index: usize,
    pub(super) queue: Q,
    /// Objects to be traced one by one; bounded by `DIRECT_MAX`.
    direct: Vec<Location>,
    /// The page whose objects' memory is on its way.
    taken: Option<TakenPage>,
    /// Lines asked for of every page, as [`NeighbourCount`] said last.
    more_lines: u64,
    neighbours: NeighbourCount,
    /// Batches to use again.
    spare: Vec<Batch>,
    /// The batch of `scan_chain`.
    chain: Batch,
    buffer: EdgeBuffer,
    /// Freshly marked objects of the current batch.
    pub(super) fresh: Vec<Location>,
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
            more_lines: 0,
            neighbours: NeighbourCount::default(),
            spare: Vec::new(),
            chain: Batch::default(),
            buffer: EdgeBuffer::with_capacity(4096),
            fresh: Vec::with_capacity(4096),
            counts: MarkCounts::default(),
        }
    }

    /// Greys the edges that tracing found and hands the fresh objects on.
    #[inline]
    fn drain_edges(&mut self) {
        for edge in self.buffer.edges() {
            // SAFETY: edges are handles to live objects of this heap (K2).
            unsafe { mark_grey::<Q::MarkMode>(*edge, &mut self.fresh, &mut self.counts) };
        }
        self.buffer.clear_edges();
        if self.buffer.has_pieces() {
            self.share_pieces();
        }
        self.flush();
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
                self.queue.push(Page(object.page()));
            }
        }
    }

    /// First half of a page's scan: takes its grey objects and asks for their
    /// memory. Between the halves another page is traced, so that the memory has
    /// time to arrive.
    fn begin_page(&mut self, page: Page) -> TakenPage {
        page.0.page_flag().begin_scan::<Q::MarkMode>();
        let slot_bytes = page.0.slot_bytes();
        // Distance from an object's first granule to its last.
        let tail = (slot_bytes.div_ceil(GRANULE) - 1).min(63);
        let kind = page.0.kind().expect("M2: a queued page has a kind");
        let trace = kind.trace_batch().expect("noscan pages are never queued");
        let marks = page.0.page_marks();
        let masks = grey_masks(self.job.isa, marks);
        let start = page.0.pointer().as_ptr();
        let mut batch = self.spare.pop().unwrap_or_default();
        batch.clear();
        for (block, mask) in masks.into_iter().enumerate() {
            let mut left = mask;
            while left != 0 {
                let granule = block * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                marks[granule & (PAGE_GRANULES - 1)].mark_black();
                batch.push(granule);
            }
            // One prefetch per cache line in which a grey object starts or ends:
            // fold the four granules of a line into one bit. (Not a straight run
            // of prefetches when the whole page is wanted: they come too fast, and
            // some are lost.)
            let ends = mask | mask << tail;
            let mut lines = (ends | ends >> 1 | ends >> 2 | ends >> 3) & LINES | self.more_lines;
            while lines != 0 {
                let granule = block * 64 + lines.trailing_zeros() as usize;
                lines &= lines - 1;
                prefetch_later(start.wrapping_add(granule << GRANULE_SHIFT));
            }
        }
        TakenPage { page, trace, slot_bytes, batch }
    }

    /// Second half: traces the objects that were taken, and those of the same page
    /// that they lead to.
    fn finish_page(&mut self, taken: TakenPage) {
        let TakenPage { page, trace, slot_bytes, mut batch } = taken;
        let greys = batch.count();
        // SAFETY: grey granules are starts of live objects of the page's kind (K1):
        // handles lead to starts. Each was taken once, and is black (TR2).
        unsafe {
            let neighbours = Neighbours::Trace(page.0.page_marks());
            self.buffer.trace(trace, page.0.pointer().as_ptr(), &mut batch, neighbours);
        }
        self.counts.count(batch.count(), slot_bytes);
        self.neighbours.add(batch.count() - greys);
        self.more_lines = self.neighbours.lines();
        self.spare.push(batch);
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
            // SAFETY: as in `finish_page`, for this one object.
            unsafe {
                let neighbours = Neighbours::Trace(object.page_marks());
                self.buffer.trace(trace, page, batch, neighbours);
            }
            self.counts.count(batch.count(), object.slot_bytes());
            let &[next] = self.buffer.edges() else { break };
            if self.has_more_to_do() || pages == CHAIN_MAX {
                break;
            }
            // SAFETY: as in `drain_edges`; it is traced next, if it is white.
            let next = unsafe { Location::of(next) };
            if next.page_flag().is_noscan() {
                break;
            }
            self.buffer.clear_edges();
            if !next.mark().is_white() {
                return pages;
            }
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

    #[cold]
    fn share_pieces(&mut self) {
        let mut pieces = self.job.pieces.lock();
        while let Some(piece) = self.buffer.take_piece() {
            pieces.push(SharedPiece(piece));
        }
        // ORDERING: Release pairs with the Acquire in `has_pieces`.
        self.job.pieces_len.store(pieces.len(), Ordering::Release);
    }

    /// A piece that was deferred in this marking, if there is one.
    fn take_piece(&self) -> Option<Piece> {
        if !self.job.has_pieces() {
            return None;
        }
        let mut pieces = self.job.pieces.lock();
        let SharedPiece(mut piece) = pieces.pop()?;
        // The rest stays for others.
        let bytes = (piece.end - piece.from).min(PIECE_BYTES);
        if piece.from + bytes < piece.end {
            pieces.push(SharedPiece(Piece { from: piece.from + bytes, ..piece }));
        }
        piece.end = piece.from + bytes;
        self.job.pieces_len.store(pieces.len(), Ordering::Release);
        Some(piece)
    }

    /// Traces a piece of a large object.
    ///
    /// # Safety
    ///
    /// It was deferred in this marking ([`take_piece`](Self::take_piece)).
    unsafe fn scan_piece(&mut self, piece: Piece) {
        // SAFETY: pieces are of live objects of this heap (contract of `Tracer::defer`).
        let kind = unsafe { Location::of(piece.object) }.kind();
        let trace = kind.and_then(ObjectKind::trace_piece).expect("only such kinds defer pieces");
        // SAFETY: the stretch lies within the object's contents.
        unsafe { trace(piece.object, piece.from, piece.end - piece.from, &mut self.buffer) };
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
    }

    /// Works until nothing is at hand, or the budget is used up.
    pub(super) fn drain(&mut self, budget: Budget) -> Drained {
        let (steps, objects) = match budget {
            Budget::Whole => (usize::MAX, usize::MAX),
            Budget::Timed => (STEPS_TIMED, usize::MAX),
            Budget::Serial => (STEPS_ALONE, self.counts.objects + OBJECTS_ALONE),
        };
        let mut done = 0;
        while done < steps {
            if self.counts.objects >= objects {
                return Drained::Partly;
            }
            done += 1;
            if let Some(object) = self.direct.pop() {
                // SAFETY: `direct` has what `grey` gave this worker to trace.
                done += unsafe { self.scan_chain(object) } - 1;
            } else if budget == Budget::Serial && self.job.has_pieces() {
                return Drained::Partly;
            } else if let Some(piece) = self.take_piece() {
                // Large objects first: they fill the queue, and a page waits the
                // longer, the more of its objects are grey when its turn comes.
                // SAFETY: taken just now.
                unsafe { self.scan_piece(piece) };
                done += STEPS_PER_PIECE - 1;
            } else if let Some(page) = self.queue.pop() {
                let taken = self.begin_page(page);
                if let Some(before) = self.taken.replace(taken) {
                    self.finish_page(before);
                }
            } else if let Some(taken) = self.taken.take() {
                self.finish_page(taken);
            } else if !self.buffer.is_empty() || self.buffer.has_pieces() {
                self.drain_edges();
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
        pages >= PAGES_TO_SHARE || self.job.has_pieces() || cfg!(debug_assertions)
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
            more_lines: self.more_lines,
            neighbours: self.neighbours,
            spare: self.spare,
            chain: self.chain,
            buffer: self.buffer,
            fresh: self.fresh,
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
            let drained = self.drain(Budget::until(&job.deadline, Budget::Whole));
            if job.deadline.is_over() {
                self.leave_work();
                return;
            }
            if drained == Drained::Partly {
                continue;
            }
            if let Some(page) = self.steal() {
                self.taken = Some(self.begin_page(page));
                continue;
            }
            // TE4: a worker that has left its work is still counted as active, and no worker need
            // wait for it.
            let sighted = || {
                job.has_pieces()
                    || job.stealers.iter().any(|stealer| !stealer.is_empty())
                    || job.deadline.is_over()
            };
            let relax = |spins: u32| {
                if spins % 64 == 63 { std::thread::yield_now() } else { std::hint::spin_loop() }
            };
            if job.termination.idle(sighted, relax) == Verdict::Over {
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
