//! [`Marking`]: what a mark phase found, and what is left of it to do.
//!
//! It may be done in several steps, between which mutators run. For each step there is a
//! job with its workers; what they leave undone comes back here.
//!
//! * MK3: every step does something: traces a page, an object or a piece, if there is one.
//! * MK4: between two steps what is grey is on a page in `pages`, in a piece, or in the
//!   list of a mutator's write barrier.
//!
//! Called by the thread that has stopped the world.

use std::collections::VecDeque;
use std::ptr::NonNull;

use crossbeam_deque::Worker as Deque;
use heap_core::location::Location;
use heap_core::marks::Isa;
use heap_core::page_flag::Serial;
use heap_sync::lock::Mutex;
use heap_sync::time::Instant;

use super::deadline::Deadline;
use super::grey::{MarkCounts, mark_grey};
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
    pages: VecDeque<Page>,
    pieces: Vec<SharedPiece>,
    counts: MarkCounts,
}

impl Marking {
    /// A mark phase that has found nothing yet.
    pub(crate) fn new(isa: Isa) -> Marking {
        Marking { isa, pages: VecDeque::new(), pieces: Vec::new(), counts: MarkCounts::default() }
    }

    /// What was found so far.
    pub(crate) fn counts(&self) -> MarkCounts {
        self.counts
    }

    /// Whether everything that can be reached is marked.
    pub(crate) fn is_done(&self) -> bool {
        self.pages.is_empty() && self.pieces.is_empty()
    }

    /// Marks everything reachable from `roots` and from what earlier steps have left, or
    /// as much of it as can be done until the deadline; some in any case (MK3).
    ///
    /// `roots` returns the counts of what mutators have marked that needs no tracing.
    ///
    /// One worker begins. Others are called when there is work for them: a short marking
    /// is over before a sleeper is awake.
    ///
    /// # Safety
    ///
    /// The world is stopped. `roots` are starts of live objects of one heap, or lie in slots
    /// that objects share; with provenance over their arenas. Of one mark phase, all calls are
    /// for the same heap, and its objects live until the last one.
    pub(crate) unsafe fn advance(
        &mut self,
        pool: &MarkPool,
        deadline: Option<Instant>,
        roots: impl FnOnce(&mut dyn FnMut(Seed)) -> MarkCounts,
    ) {
        let pieces = std::mem::take(&mut self.pieces);
        let job = MarkJob::new(self.isa, Vec::new(), pieces, Deadline::at(deadline));
        let mut worker = Worker::new(&job, 0, std::mem::take(&mut self.pages));
        worker.counts = self.counts;
        let marked = roots(&mut |seed| {
            match seed {
                Seed::Root(object) => {
                    // SAFETY: forwarded from the caller.
                    unsafe { mark_grey::<Serial>(object, &mut worker.fresh, &mut worker.counts) };
                }
                Seed::Grey(object) => worker.fresh.push(object),
            }
            worker.flush();
        });
        worker.counts += marked;
        let alone = match pool.worker_slots() {
            0 => DrainLimit::until(&job.deadline, DrainLimit::Whole),
            _ => DrainLimit::Serial,
        };
        // MK3: this limit does not end before a piece.
        let mut limit = DrainLimit::until(&job.deadline, alone);
        while worker.drain(limit) == Drained::Partly {
            limit = alone;
            if job.deadline.is_over() {
                worker.suspend();
                break;
            }
            if pool.worker_slots() > 0 && worker.has_work_for_others() {
                *self = mark_in_parallel(worker, pool);
                return;
            }
        }
        self.counts = worker.counts;
        // MK4.
        self.pages = worker.queue;
        self.pieces = job.pieces.take_all();
    }
}

/// Where marking begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seed {
    /// An object in any state.
    Root(NonNull<u8>),
    /// An object that a mutator has made grey, and whose page may not be queued.
    Grey(Location),
}

/// Does the rest of what `alone` has begun, with the helpers.
fn mark_in_parallel(alone: Worker<'_, VecDeque<Page>>, pool: &MarkPool) -> Marking {
    let deques: Vec<Deque<Page>> = (0..=pool.worker_slots()).map(|_| Deque::new_fifo()).collect();
    let stealers = deques.iter().map(Deque::stealer).collect();
    let pieces = alone.job.pieces.take_all();
    let MarkJob { isa, deadline: Deadline { at, .. }, .. } = *alone.job;
    let job = MarkJob::new(isa, stealers, pieces, Deadline::at(at));
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
    Marking { isa, pages, pieces, counts }
}
