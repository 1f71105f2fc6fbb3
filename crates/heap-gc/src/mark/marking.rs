//! [`Marking`]: what a mark phase found, and what is left of it to do.
//!
//! It may be done in several steps, between which mutators run. For each step there is a
//! job with its workers; what they leave undone comes back here.
//!
//! * MK3: every step does something: traces a page, an object or a piece, if there is one.
//! * MK4: between two steps what is grey is on a page in `pages` or `handed_over`, or that is lost, in a
//!   piece, or in the list of a mutator's write barrier.
//!
//! Ephemerons come last: when nothing else is left to do, a worker that is alone looks at the values
//! that wait for their keys ([`Ephemerons`]).
//!
//! Called by the thread that has stopped the world.

use std::collections::VecDeque;
use std::ptr::NonNull;

use heap_core::marks::Isa;
use heap_core::mheap::{MHeap, PageCursor, PageSearch};
use heap_core::tracer::Finds;
use heap_sync::atomic::Ordering;
use heap_sync::lock::Mutex;
use heap_sync::time::Instant;

use super::deadline::Deadline;
use super::ephemerons::Ephemerons;
use super::grey::MarkCounts;
use super::job::MarkJob;
use super::pieces::SharedPiece;
use super::pool::MarkPool;
use super::queue::{Page, Queue};
use super::worker::{DrainLimit, Drained, Worker, WorkerMemory};

/// A mark phase: what it found, and what is left to do. It may be done in several steps,
/// between which mutators run.
#[derive(Debug)]
pub(crate) struct Marking {
    isa: Isa,
    /// Whether there are seeds that were not visited.
    seeds: Seeds,
    /// Pages that mutators have queued, and that no worker has yet: what each step took over.
    handed_over: Vec<Vec<Page>>,
    pages: VecDeque<Page>,
    pieces: Vec<SharedPiece>,
    lost: LostPages,
    ephemerons: Ephemerons,
    counts: MarkCounts,
}

/// Pages for which no queue had memory (MK5).
#[derive(Debug, Default)]
struct LostPages {
    /// Whether there may be some that no search has passed.
    any: bool,
    /// How far the search has come that is under way.
    cursor: Option<PageCursor>,
}

impl LostPages {
    fn is_none(&self) -> bool {
        !self.any && self.cursor.is_none()
    }

    /// Searches some pages. `Done` if none is lost.
    ///
    /// # Safety
    ///
    /// As [`MHeap::next_lost_page`].
    unsafe fn search(&mut self, heap: &MHeap) -> PageSearch {
        if self.is_none() {
            return PageSearch::Done;
        }
        if self.cursor.is_none() {
            // What is lost from here on, perhaps behind the search, is for the next one.
            self.any = false;
        }
        let cursor = self.cursor.get_or_insert_default();
        // SAFETY: forwarded from the caller.
        match unsafe { heap.next_lost_page(cursor) } {
            PageSearch::Done => {
                self.cursor = None;
                PageSearch::More
            }
            found => found,
        }
    }
}

/// Whether there are more objects from which to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seeds {
    /// There may be.
    More,
    /// All were visited.
    Done,
}

impl Marking {
    /// A mark phase that has found nothing yet.
    pub(crate) fn new(isa: Isa) -> Marking {
        Marking {
            isa,
            seeds: Seeds::More,
            handed_over: Vec::new(),
            pages: VecDeque::new(),
            pieces: Vec::new(),
            lost: LostPages::default(),
            ephemerons: Ephemerons::default(),
            counts: MarkCounts::default(),
        }
    }

    /// Takes over what mutators have found between two steps.
    pub(crate) fn take_over(&mut self, pages: Vec<Page>, mut finds: Finds, counts: MarkCounts) {
        if counts != MarkCounts::default() {
            // They may be the keys of values that are pending (EP3), and need no tracing: without this
            // a mark phase that was done would be done still.
            self.ephemerons.resume();
        }
        self.counts += counts;
        self.lost.any |= std::mem::take(&mut finds.pages_lost);
        self.ephemerons.take_finds(&mut finds);
        if self.handed_over.try_reserve(1).is_err() {
            self.lost.any |= !pages.is_empty();
        } else if !pages.is_empty() {
            self.handed_over.push(pages);
        }
    }

    /// What was found so far.
    pub(crate) fn counts(&self) -> MarkCounts {
        self.counts
    }

    /// Whether everything that can be reached is marked.
    pub(crate) fn is_done(&self) -> bool {
        self.seeds == Seeds::Done
            && self.handed_over.is_empty()
            && self.pages.is_empty()
            && self.pieces.is_empty()
            && self.lost.is_none()
            && self.ephemerons.is_settled(self.counts.objects)
    }

    /// Goes on with other seeds: what was found unreachable is revived.
    pub(crate) fn begin_revival(&mut self) {
        self.seeds = Seeds::More;
    }

    /// Counts what was marked by other means.
    pub(crate) fn count(&mut self, objects: usize, bytes: usize) {
        self.counts += MarkCounts { objects, bytes };
    }

    /// See [`Ephemerons::clear_some`].
    ///
    /// # Safety
    ///
    /// The world is stopped, marking of the heap [is done](Self::is_done), and nothing was swept since.
    pub(crate) unsafe fn clear_ephemerons(&mut self, pool: &MarkPool, heap: &MHeap) -> bool {
        let mut memory = pool.take_memory();
        // SAFETY: forwarded from the caller.
        let is_all = unsafe { self.ephemerons.clear_some(self.isa, heap, &mut memory.chain) };
        pool.put_memory(memory);
        is_all
    }

    /// Marks everything reachable from the seeds and from what earlier steps have left, or
    /// as much of it as can be done until the deadline; some in any case (MK3).
    ///
    /// `seeds` calls its argument with a few objects from which to begin, others each time, until
    /// it says that there are no more.
    ///
    /// One worker begins. Others are called when there is work for them: a short marking
    /// is over before a sleeper is awake.
    ///
    /// # Safety
    ///
    /// The world is stopped. Seeds are starts of live objects of one heap, or lie in slots
    /// that objects share; with provenance over their arenas. What was [taken
    /// over](Self::take_over) is of the same mark phase. Of one mark phase, all calls are
    /// for the same heap, and its objects live until the last one.
    pub(crate) unsafe fn advance(
        &mut self,
        pool: &MarkPool,
        heap: &MHeap,
        deadline: Option<Instant>,
        mut seeds: impl FnMut(&mut dyn FnMut(NonNull<u8>)) -> Seeds,
    ) {
        let deadline = Deadline::at(deadline);
        loop {
            // SAFETY: forwarded from the caller.
            let advanced = unsafe { self.advance_alone(pool, heap, &deadline, &mut seeds) };
            if advanced == Advanced::Alone || deadline.is_over() || self.is_done() {
                return;
            }
        }
    }

    /// The part of [`Marking::advance`] that one worker does, and then what others do with it.
    ///
    /// # Safety
    ///
    /// As [`Marking::advance`].
    unsafe fn advance_alone(
        &mut self,
        pool: &MarkPool,
        heap: &MHeap,
        deadline: &Deadline,
        seeds: &mut impl FnMut(&mut dyn FnMut(NonNull<u8>)) -> Seeds,
    ) -> Advanced {
        let pieces = std::mem::take(&mut self.pieces);
        let mut ephemerons = std::mem::take(&mut self.ephemerons);
        ephemerons.resume();
        // MK3: these are work, as pages are.
        let woken = std::mem::take(&mut ephemerons.woken);
        let job = MarkJob::new(self.isa, &[], pieces, ephemerons, Deadline::at(deadline.at));
        let pages = std::mem::take(&mut self.pages);
        let mut worker = Worker::new(&job, 0, pages, pool.take_memory());
        worker.counts = self.counts;
        worker.finds.woken = woken;
        while self.seeds == Seeds::More {
            self.seeds = seeds(&mut |object| {
                // SAFETY: forwarded from the caller.
                unsafe { worker.mark(object) };
                worker.flush();
            });
            if job.deadline.is_over() && self.seeds == Seeds::More {
                self.suspend(worker, pool);
                return Advanced::Alone;
            }
        }
        let alone = match pool.worker_slots() {
            0 => DrainLimit::until(&job.deadline, DrainLimit::Whole),
            _ => DrainLimit::Serial,
        };
        // MK3: this limit does not end before a piece.
        let mut limit = DrainLimit::until(&job.deadline, alone);
        loop {
            if worker.drain(limit) == Drained::Whole
                && self.feed(&mut worker) == 0
                // SAFETY: forwarded from the caller: the queues are empty.
                && !unsafe { self.find_lost(&mut worker, heap) }
                // SAFETY: forwarded from the caller.
                && !unsafe { worker.resolve_some(heap) }
            {
                break;
            }
            limit = alone;
            if job.deadline.is_over() {
                break;
            }
            if pool.worker_slots() > 0 && worker.has_work_for_others() {
                while self.feed(&mut worker) > 0 {}
                self.mark_in_parallel(worker, pool);
                return Advanced::InParallel;
            }
        }
        self.suspend(worker, pool);
        Advanced::Alone
    }

    /// Queues some of the pages that mutators have found. Returns how many.
    fn feed(&mut self, worker: &mut Worker<'_, VecDeque<Page>>) -> usize {
        let Some(last) = self.handed_over.last_mut() else { return 0 };
        let pages = last.drain(last.len().saturating_sub(PAGES_FED)..);
        let count = pages.len();
        for page in pages {
            self.lost.any |= Queue::push(&mut worker.queue, page).is_err();
        }
        if last.is_empty() {
            self.handed_over.pop();
        }
        count
    }

    /// Searches for pages that were lost. Says whether there is more to do.
    ///
    /// # Safety
    ///
    /// The world is stopped, a mark phase of the heap is under way, and no page is in a queue.
    unsafe fn find_lost(&mut self, worker: &mut Worker<'_, VecDeque<Page>>, heap: &MHeap) -> bool {
        self.lost.any |= std::mem::take(&mut worker.finds.pages_lost);
        // SAFETY: forwarded from the caller.
        match unsafe { self.lost.search(heap) } {
            PageSearch::Found(page) => worker.take_page(Page::of(page)),
            PageSearch::More => {}
            PageSearch::Done => return false,
        }
        true
    }

    /// Keeps what is left for the next step (MK4).
    fn suspend(&mut self, mut worker: Worker<'_, VecDeque<Page>>, pool: &MarkPool) {
        worker.suspend();
        let job = worker.job;
        self.counts = worker.counts;
        let (memory, pages) = worker.into_memory();
        pool.put_memory(memory);
        self.pages = pages;
        self.take_back(job);
    }

    /// Takes back what the workers of a job have left.
    fn take_back(&mut self, job: &MarkJob<'_>) {
        self.pieces = job.pieces.take_all();
        self.ephemerons = std::mem::take(&mut *job.ephemerons.lock());
        // ORDERING: Relaxed: they were waited for.
        self.lost.any |= job.pages_lost.load(Ordering::Relaxed);
    }

    /// Does the rest of what `alone` has begun, with the helpers.
    fn mark_in_parallel(&mut self, alone: Worker<'_, VecDeque<Page>>, pool: &MarkPool) {
        let queues = pool.queues();
        let pieces = alone.job.pieces.take_all();
        let MarkJob { isa, deadline: Deadline { at, .. }, .. } = *alone.job;
        let ephemerons = std::mem::take(&mut *alone.job.ephemerons.lock());
        let job = MarkJob::new(isa, queues.stealers(), pieces, ephemerons, Deadline::at(at));
        let total = Mutex::new(MarkCounts::default());
        let (mut worker, pages) = alone.into_parallel(&job, queues.take(0));
        // Memory for what is left in the end.
        *job.left.lock() = pages;
        pool.run(
            &|index| {
                // The others do without this one if there is no memory for it.
                let Some(memory) = WorkerMemory::try_new(isa) else { return };
                if !job.termination.join() {
                    return;
                }
                let mut worker = Worker::new(&job, index, queues.take(index), memory);
                worker.run();
                *total.lock() += worker.counts;
                let (_, queue) = worker.into_memory();
                queues.put_back(index, queue);
            },
            || worker.run(),
        );
        self.counts = worker.counts;
        self.counts += *total.lock();
        let (memory, queue) = worker.into_memory();
        queues.put_back(0, queue);
        pool.put_memory(memory);
        self.pages = std::mem::take(&mut *job.left.lock());
        self.take_back(&job);
    }
}

/// Who has done the work of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Advanced {
    /// One worker: it has done everything, or has looked at the clock.
    Alone,
    /// Others as well; what waits for a worker that is alone is left (EP2).
    InParallel,
}

/// Pages of mutators that a worker queues at a time.
const PAGES_FED: usize = 256;
