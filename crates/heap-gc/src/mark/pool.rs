//! The threads that mark beside the collecting thread: helper threads, and mutators that wait for
//! the world to resume.
//!
//! A mark phase offers a number of worker slots. Helpers and waiting mutators take them as they
//! come; marking waits for none of them to come, so that a short mark phase is over before a
//! sleeper is awake, and costs no more than marking alone. A mutator that [watches](Watch) is awake
//! already: while there are as many of them as worker slots, no helper is woken: it would only take
//! a processor away from one of them.
//!
//! The threads start with the first marking that has to wake them, sleep between
//! mark phases, and end with the heap.
//!
//! * PO1: `run` returns only when every thread that took a worker slot has finished the job, and no
//!   worker slot can be taken after; so the job may borrow from the caller's stack.
//! * PO2: a worker slot that was offered and is not taken is seen by every mutator that
//!   watches, at the latest when it ceases to, unless the job was taken back; and
//!   if there are more worker slots than such mutators the helpers are woken.
//!
//! * PO3: in a child of `fork` there are no helpers (FK2) and no worker slots; what is shared with
//!   helpers is not touched: it may be locked by one that is not there.
//!
//! Models: `tests/loom_pool.rs`.

use std::sync::Arc;

use heap_core::marks::Isa;
use heap_sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use heap_sync::bound;
use heap_sync::lock::{Condvar, Mutex};
use heap_sync::mutant;
use heap_sync::thread::{Builder, JoinHandle, has_memory_for_thread, spin_loop};

use super::queue::SharedQueues;
use super::worker::WorkerMemory;
use crate::fork::{self, Process};
use crate::gate::WhileBlocked;

/// How often to look whether the others have finished before going to sleep: all find
/// at about the same time that there is nothing left to mark. None under the model
/// checker.
const SPINS: usize = bound(1000, 0);

/// A job, with its lifetime erased (PO1).
type Job = &'static (dyn Fn(usize) + Sync);

#[derive(Default)]
struct State {
    job: Option<Job>,
    /// Counts jobs, so that a helper takes each once.
    round: u64,
    /// Worker slots that were taken in this round.
    taken: usize,
    /// Mutators that look for a worker slot (PO2).
    watching: usize,
    /// Whether `run` sleeps until no thread is busy.
    awaited: bool,
    stop: bool,
}

#[derive(Default)]
struct PoolState {
    worker_slots: usize,
    state: Mutex<State>,
    /// For the helpers: there is a job, or an end to all of them.
    offered: Condvar,
    /// For `run`: no thread is busy.
    finished: Condvar,
    /// Whether there is a free worker slot; a hint.
    open: AtomicBool,
    /// Threads that have not finished the current job. Changed under the lock; without it, a hint.
    busy: AtomicUsize,
}

impl PoolState {
    /// Offers a job: all worker slots are free. Says whether helpers are to be woken (PO2).
    #[must_use]
    fn offer(&self, job: Job) -> bool {
        let mut state = self.state.lock();
        state.job = Some(job);
        state.round += 1;
        state.taken = 0;
        // ORDERING: Relaxed: a hint; worker slots are taken under the lock.
        self.open.store(true, Ordering::Relaxed);
        state.watching < self.worker_slots
    }

    /// What [`MarkPool::run`] does; `wake` wakes the helpers.
    fn run(&self, job: &(dyn Fn(usize) + Sync), own: impl FnOnce(), wake: impl FnOnce()) {
        // SAFETY: PO1: the job is taken back below, and every thread that took a worker slot is
        // waited for, before the borrow ends. Nothing in between unwinds.
        let job: Job = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), Job>(job) };
        let few_watch = self.offer(job);
        or_abort(|| {
            if few_watch {
                wake();
            }
            own();
        });
        self.withdraw(&mut self.state.lock());
        self.finish();
    }

    /// Takes the job back: no worker slot can be taken any more.
    fn withdraw(&self, state: &mut State) {
        state.job = None;
        self.open.store(false, Ordering::Relaxed);
    }

    /// Waits until no thread is busy with the job that was withdrawn.
    fn finish(&self) {
        mutant!("returns early" => return);
        for _ in 0..SPINS {
            // ORDERING: Relaxed: a hint.
            if self.busy.load(Ordering::Relaxed) == 0 {
                break;
            }
            spin_loop();
        }
        let mut state = self.state.lock();
        // ORDERING: Relaxed, here and where it changes: under the lock.
        while self.busy.load(Ordering::Relaxed) > 0 {
            state.awaited = true;
            state = self.finished.wait(state);
        }
        state.awaited = false;
    }

    /// Takes a worker slot, if there is one.
    fn claim_slot(&self, state: &mut State) -> Option<(Job, usize)> {
        let job = state.job.filter(|_| state.taken < self.worker_slots)?;
        state.taken += 1;
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.open.store(state.taken < self.worker_slots, Ordering::Relaxed);
        Some((job, state.taken))
    }

    /// Changes the state and does the job, if there is a worker slot.
    #[cold]
    fn help(&self, change: impl FnOnce(&mut State)) {
        let worker_slot = {
            let mut state = self.state.lock();
            change(&mut state);
            self.claim_slot(&mut state)
        };
        if let Some((job, worker_slot)) = worker_slot {
            self.work(job, worker_slot);
        }
    }

    /// Does the job on a worker slot and leaves it.
    fn work(&self, job: Job, worker_slot: usize) {
        or_abort(|| job(worker_slot));
        let state = self.state.lock();
        mutant!("finishes silently" => {
            self.busy.fetch_sub(1, Ordering::Relaxed);
            return;
        });
        if self.busy.fetch_sub(1, Ordering::Relaxed) == 1 && state.awaited {
            self.finished.notify_one();
        }
    }
}

/// Does a part of a mark phase. A panic there would be a bug of the collector; the workers that do
/// the other parts would wait without end for what it leaves undone.
fn or_abort(part: impl FnOnce()) {
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(part)).is_err() {
        heap_core::corrupt!("a panic while marking");
    }
}

/// The helpers of one heap.
pub(crate) struct MarkPool {
    shared: Arc<PoolState>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    process: Process,
    queues: SharedQueues,
    /// What the collecting thread works with (MK5).
    memory: Mutex<Option<WorkerMemory>>,
}

impl std::fmt::Debug for MarkPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MarkPool")
            .field("worker_slots", &self.shared.worker_slots)
            .finish_non_exhaustive()
    }
}

impl MarkPool {
    /// A pool of `mark_threads` threads, none of them started.
    pub(crate) fn new(mark_threads: usize, isa: Isa) -> MarkPool {
        let shared = PoolState { worker_slots: mark_threads, ..PoolState::default() };
        let process = Process::this();
        let memory = Mutex::new(Some(WorkerMemory::try_new(isa).expect("memory for a heap")));
        let threads = Mutex::new(Vec::with_capacity(mark_threads));
        let queues = SharedQueues::new(mark_threads);
        MarkPool { shared: Arc::new(shared), threads, process, queues, memory }
    }

    /// The queues of those that mark at the same time.
    pub(super) fn queues(&self) -> &SharedQueues {
        &self.queues
    }

    /// What the collecting thread works with, which it [puts back](Self::put_memory).
    pub(super) fn take_memory(&self) -> WorkerMemory {
        self.memory.lock().take().expect("one thread collects at a time")
    }

    /// Takes it back.
    pub(super) fn put_memory(&self, memory: WorkerMemory) {
        *self.memory.lock() = Some(memory);
    }

    /// How many may mark beside the collecting thread (PO3).
    pub(crate) fn worker_slots(&self) -> usize {
        if self.process.is_here() { self.shared.worker_slots } else { 0 }
    }

    /// Wakes the helpers. Starts those that are wanted and not there; fewer if the
    /// system refuses.
    fn wake(&self) {
        let mut threads = self.threads.lock();
        while threads.len() < self.shared.worker_slots
            && has_memory_for_thread()
            && fork::watch(None)
        {
            let shared = Arc::clone(&self.shared);
            let spawned = Builder::new()
                .name(format!("heap-mark-{}", threads.len() + 1))
                .spawn(move || helper(&shared));
            match spawned {
                Ok(thread) => threads.push(thread),
                Err(_) => break,
            }
        }
        self.shared.offered.notify_all();
    }

    /// Runs `own` here, and `job(worker_slot)` for every worker slot (from 1) that another thread
    /// takes until `own` ends; waits for those.
    pub(crate) fn run(&self, job: &(dyn Fn(usize) + Sync), own: impl FnOnce()) {
        self.shared.run(job, own, || self.wake());
    }

    /// Looks for worker slots, for a mutator that is outside and awake.
    pub(crate) fn watch(&self) -> Watch<'_> {
        if self.worker_slots() == 0 {
            return Watch(None);
        }
        self.shared.state.lock().watching += 1;
        Watch(Some(&self.shared))
    }
}

/// A mutator that waits for the world to resume, and marks until then if there is a worker slot
/// (PO2).
pub(crate) struct Watch<'p>(Option<&'p PoolState>);

impl WhileBlocked for Watch<'_> {
    #[inline]
    fn poll(&self) {
        // ORDERING: Relaxed: a hint; the last look, when it is dropped, is under the
        // lock.
        if let Some(shared) = self.0
            && shared.open.load(Ordering::Relaxed)
        {
            shared.help(|_| ());
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        // An offer was made before, and we take its worker slot here if it is still free; or it
        // finds us gone, and does not count on us.
        if let Some(shared) = self.0 {
            shared.help(|state| state.watching -= 1);
        }
    }
}

fn helper(shared: &PoolState) {
    fork::block_signals();
    let mut round = 0;
    loop {
        let (job, worker_slot) = {
            let mut state = shared.state.lock();
            loop {
                if state.stop {
                    return;
                }
                if state.round != round {
                    round = state.round;
                    if let Some(worker_slot) = shared.claim_slot(&mut state) {
                        break worker_slot;
                    }
                }
                state = shared.offered.wait(state);
            }
        };
        shared.work(job, worker_slot);
    }
}

impl Drop for MarkPool {
    fn drop(&mut self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        if !self.process.is_here() {
            // PO3: there is no thread to wait for, and none whose resources the system could free.
            std::mem::forget(threads);
            return;
        }
        self.shared.state.lock().stop = true;
        mutant!("stops silently" => {
            threads.into_iter().for_each(|thread| drop(thread.join()));
            return;
        });
        self.shared.offered.notify_all();
        for thread in threads {
            // A helper cannot panic (it aborts).
            let _ = thread.join();
        }
    }
}

#[cfg(all(test, not(heap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn everybody_who_took_a_seat_has_finished_when_run_returns() {
        let pool = MarkPool::new(3, Isa::Portable);
        for _ in 0..200 {
            let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let worker_slots = Mutex::new(Vec::new());
            pool.run(
                &|worker_slot| {
                    begun.fetch_add(1, Ordering::Relaxed);
                    worker_slots.lock().push(worker_slot);
                    std::thread::yield_now();
                    ended.fetch_add(1, Ordering::Relaxed);
                },
                || std::thread::sleep(std::time::Duration::from_micros(20)),
            );
            let (begun, ended) = (begun.into_inner(), ended.into_inner());
            assert_eq!(begun, ended, "PO1");
            let mut worker_slots = worker_slots.lock();
            worker_slots.sort_unstable();
            assert_eq!(
                *worker_slots,
                (1..=begun).collect::<Vec<_>>(),
                "a worker slot is taken once"
            );
        }
    }

    #[test]
    fn a_panic_of_the_collecting_thread_ends_the_process() {
        const CHILD: &str = "HEAP_POOL_CHILD";
        if std::env::var_os(CHILD).is_some() {
            let pool = MarkPool::new(1, Isa::Portable);
            let begun = AtomicBool::new(false);
            pool.run(
                &|_| {
                    begun.store(true, Ordering::Relaxed);
                    // What the collecting thread would have to end.
                    loop {
                        std::thread::park();
                    }
                },
                || {
                    while !begun.load(Ordering::Relaxed) {
                        std::thread::yield_now();
                    }
                    panic!("on purpose");
                },
            );
        }
        let mut child = processes::this_test()
            .env(CHILD, "1")
            .stderr(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("this program runs");
        for _ in 0..3000 {
            if let Some(status) = child.try_wait().expect("a child") {
                assert!(!status.success() && status.code() != Some(101), "a mere panic");
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        child.kill().expect("a child");
        panic!("the pool waits for ever");
    }

    #[test]
    fn a_waiting_mutator_takes_a_seat_while_there_is_one() {
        let pool = MarkPool::new(1, Isa::Portable);
        let helped = AtomicUsize::new(0);
        let job = |worker_slot| {
            assert_eq!(worker_slot, 1);
            helped.fetch_add(1, Ordering::Relaxed);
        };
        let watch = pool.watch();
        watch.poll();
        pool.run(&job, || {
            watch.poll();
            watch.poll();
        });
        watch.poll();
        assert_eq!(helped.load(Ordering::Relaxed), 1);
        // PO2: a mutator that was counted on looks once more.
        pool.run(&job, || drop(watch));
        assert_eq!(helped.load(Ordering::Relaxed), 2);
    }
}

#[cfg(all(test, heap_loom))]
#[path = "../tests/loom_pool.rs"]
mod loom_pool;
