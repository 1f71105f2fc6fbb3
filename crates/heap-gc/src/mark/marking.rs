//! [`Marking`]: what a mark phase found, and what is left of it to do.
//!
//! It may be done in several steps, between which mutators run. For each step there is a
//! job with its workers; what they leave undone comes back here.
//!
//! * MK3: every step does something: traces a page, an object or a piece, if there is one.
//! * MK4: between two steps what is grey is on a page in `pages` or `handed_over`, in a piece, or
//!   in the list of a mutator's write barrier.
//!
//! Ephemerons come last: when nothing else is left to do, a worker that is alone looks at the values
//! that wait for their keys ([`Ephemerons`]).
//!
//! Called by the thread that has stopped the world.

use std::collections::VecDeque;
use std::ptr::NonNull;

use crossbeam_deque::Worker as Deque;
use heap_core::marks::Isa;
use heap_sync::lock::Mutex;
use heap_sync::time::Instant;

use super::deadline::Deadline;
use super::ephemerons::Ephemerons;
use super::grey::MarkCounts;
use super::job::MarkJob;
use super::pieces::SharedPiece;
use super::pool::MarkPool;
use super::queue::Page;
use super::worker::{DrainLimit, Drained, Worker};

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
    ephemerons: Ephemerons,
    counts: MarkCounts,
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
            ephemerons: Ephemerons::default(),
            counts: MarkCounts::default(),
        }
    }

    /// Takes over what mutators have found between two steps.
    pub(crate) fn take_over(
        &mut self,
        pages: Vec<Page>,
        mut woken: Vec<NonNull<u8>>,
        counts: MarkCounts,
    ) {
        if counts != MarkCounts::default() {
            // They may be the keys of values that are pending (EP3), and need no tracing: without this
            // a mark phase that was done would be done still.
            self.ephemerons.resume();
        }
        self.counts += counts;
        self.ephemerons.woken.append(&mut woken);
        if !pages.is_empty() {
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
            && self.ephemerons.is_settled()
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
    /// The world is stopped, marking [is done](Self::is_done), and nothing was swept since.
    pub(crate) unsafe fn clear_ephemerons(&mut self) -> bool {
        // SAFETY: forwarded from the caller.
        unsafe { self.ephemerons.clear_some() }
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
        deadline: Option<Instant>,
        mut seeds: impl FnMut(&mut dyn FnMut(NonNull<u8>)) -> Seeds,
    ) {
        let deadline = Deadline::at(deadline);
        loop {
            // SAFETY: forwarded from the caller.
            let advanced = unsafe { self.advance_alone(pool, &deadline, &mut seeds) };
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
        deadline: &Deadline,
        seeds: &mut impl FnMut(&mut dyn FnMut(NonNull<u8>)) -> Seeds,
    ) -> Advanced {
        let pieces = std::mem::take(&mut self.pieces);
        let mut ephemerons = std::mem::take(&mut self.ephemerons);
        ephemerons.resume();
        // MK3: these are work, as pages are.
        let woken = std::mem::take(&mut ephemerons.woken);
        let job = MarkJob::new(self.isa, Vec::new(), pieces, ephemerons, Deadline::at(deadline.at));
        let mut worker = Worker::new(&job, 0, std::mem::take(&mut self.pages));
        worker.counts = self.counts;
        worker.finds.woken = woken;
        while self.seeds == Seeds::More {
            self.seeds = seeds(&mut |object| {
                // SAFETY: forwarded from the caller.
                unsafe { worker.mark(object) };
                worker.flush();
            });
            if job.deadline.is_over() && self.seeds == Seeds::More {
                self.suspend(worker);
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
                && !worker.resolve_some()
            {
                break;
            }
            limit = alone;
            if job.deadline.is_over() {
                break;
            }
            if pool.worker_slots() > 0 && worker.has_work_for_others() {
                while self.feed(&mut worker) > 0 {}
                *self = mark_in_parallel(worker, pool);
                return Advanced::InParallel;
            }
        }
        self.suspend(worker);
        Advanced::Alone
    }

    /// Queues some of the pages that mutators have found. Returns how many.
    fn feed(&mut self, worker: &mut Worker<'_, VecDeque<Page>>) -> usize {
        let Some(last) = self.handed_over.last_mut() else { return 0 };
        let pages = last.drain(last.len().saturating_sub(PAGES_FED)..);
        let count = pages.len();
        worker.queue.extend(pages);
        if last.is_empty() {
            self.handed_over.pop();
        }
        count
    }

    /// Keeps what is left for the next step (MK4).
    fn suspend(&mut self, mut worker: Worker<'_, VecDeque<Page>>) {
        worker.suspend();
        self.counts = worker.counts;
        self.pages = worker.queue;
        self.pieces = worker.job.pieces.take_all();
        self.ephemerons = std::mem::take(&mut *worker.job.ephemerons.lock());
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

/// Does the rest of what `alone` has begun, with the helpers.
fn mark_in_parallel(alone: Worker<'_, VecDeque<Page>>, pool: &MarkPool) -> Marking {
    let deques: Vec<Deque<Page>> = (0..=pool.worker_slots()).map(|_| Deque::new_fifo()).collect();
    let stealers = deques.iter().map(Deque::stealer).collect();
    let pieces = alone.job.pieces.take_all();
    let MarkJob { isa, deadline: Deadline { at, .. }, .. } = *alone.job;
    let ephemerons = std::mem::take(&mut *alone.job.ephemerons.lock());
    let job = MarkJob::new(isa, stealers, pieces, ephemerons, Deadline::at(at));
    let slots: Vec<Mutex<Option<Deque<Page>>>> =
        deques.into_iter().map(|deque| Mutex::new(Some(deque))).collect();
    let total = Mutex::new(MarkCounts::default());
    let first = slots[0].lock().take().expect("nobody has taken a deque yet");
    let mut worker = alone.into_parallel(&job, first);
    pool.run(
        &|index| {
            if !job.termination.join() {
                return;
            }
            let deque = slots[index].lock().take().expect("a worker slot is taken once");
            let mut worker = Worker::new(&job, index, deque);
            worker.run();
            *total.lock() += worker.counts;
        },
        || worker.run(),
    );
    let mut counts = worker.counts;
    counts += *total.lock();
    let pages = std::mem::take(&mut *job.left.lock());
    let pieces = job.pieces.take_all();
    let ephemerons = std::mem::take(&mut *job.ephemerons.lock());
    Marking { isa, seeds: Seeds::Done, handed_over: Vec::new(), pages, pieces, ephemerons, counts }
}
