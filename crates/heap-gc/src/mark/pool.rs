//! The helper threads that mark beside the collecting thread.
//!
//! They start with the first collection, sleep between collections, and end
//! with the heap.
//!
//! * PO1: `run` returns only when every helper has finished the job, so the job
//!   may borrow from the caller's stack.

use std::sync::Arc;
use std::thread::JoinHandle;

use heap_sync::lock::{Condvar, Mutex};

/// A job, with its lifetime erased (PO1).
type Job = &'static (dyn Fn(usize) + Sync);

#[derive(Default)]
struct State {
    job: Option<Job>,
    /// Counts jobs, so that a helper takes each once.
    round: u64,
    /// Helpers that have not finished the current job.
    busy: usize,
    stop: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The helper threads of one heap.
pub(crate) struct MarkPool {
    wanted: usize,
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for MarkPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MarkPool").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

impl MarkPool {
    /// A pool of `helpers` threads, none of them started.
    pub(crate) fn new(helpers: usize) -> MarkPool {
        MarkPool {
            wanted: helpers,
            shared: Arc::new(Shared::default()),
            threads: Mutex::new(Vec::new()),
        }
    }

    /// The helpers that are there, started now if they were not. Fewer than
    /// wanted if the system refuses threads.
    pub(crate) fn helpers(&self) -> usize {
        let mut threads = self.threads.lock();
        while threads.len() < self.wanted {
            let index = threads.len() + 1;
            let shared = Arc::clone(&self.shared);
            let round = shared.state.lock().round;
            let spawned = std::thread::Builder::new()
                .name(format!("heap-mark-{index}"))
                .spawn(move || helper(&shared, index, round));
            match spawned {
                Ok(thread) => threads.push(thread),
                Err(_) => break,
            }
        }
        threads.len()
    }

    /// Runs `job(i)` on helper `i` (from 1), and `own` here; waits for all.
    pub(crate) fn run(&self, job: &(dyn Fn(usize) + Sync), own: impl FnOnce()) {
        let helpers = self.threads.lock().len();
        // SAFETY: PO1: `Wait` below waits for every helper to finish, also when
        // `own` unwinds, before the borrow ends; the reference is dropped by
        // then.
        let job: Job = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), Job>(job) };
        {
            let mut state = self.shared.state.lock();
            state.job = Some(job);
            state.round += 1;
            state.busy = helpers;
            self.shared.changed.notify_all();
        }
        let wait = Wait(&self.shared);
        own();
        drop(wait);
    }
}

struct Wait<'a>(&'a Shared);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        while state.busy > 0 {
            state = self.0.changed.wait(state);
        }
        state.job = None;
    }
}

fn helper(shared: &Shared, index: usize, mut round: u64) {
    loop {
        let job = {
            let mut state = shared.state.lock();
            loop {
                if state.stop {
                    return;
                }
                if state.round != round
                    && let Some(job) = state.job
                {
                    round = state.round;
                    break job;
                }
                state = shared.changed.wait(state);
            }
        };
        // A panic here would be a bug of the collector; without this the
        // collecting thread would wait for ever.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(index)));
        if outcome.is_err() {
            heap_core::corrupt!("a marking helper panicked");
        }
        let mut state = shared.state.lock();
        state.busy -= 1;
        if state.busy == 0 {
            shared.changed.notify_all();
        }
    }
}

impl Drop for MarkPool {
    fn drop(&mut self) {
        self.shared.state.lock().stop = true;
        self.shared.changed.notify_all();
        for thread in self.threads.lock().drain(..) {
            // A helper cannot panic (it aborts).
            let _ = thread.join();
        }
    }
}
