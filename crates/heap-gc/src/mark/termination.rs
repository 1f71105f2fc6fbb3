//! When is parallel marking over?
//!
//! Every worker that runs out of work says that it is idle. A worker is idle
//! only while its own queue is empty and it holds no item; only owners push to
//! queues. So when all are idle at once, there is no work anywhere.
//!
//! * TE1: `Verdict::Over` is returned to nobody while there is work, and whoever
//!   gets it sees all that was done.
//! * TE2: when there is no work any more, every worker gets `Verdict::Over`.
//!
//! Model: `tests/loom_termination.rs`.

use heap_sync::atomic::{AtomicUsize, Ordering};

/// Counts the idle workers of a cycle.
#[derive(Debug)]
pub(crate) struct Termination {
    workers: usize,
    idle: AtomicUsize,
}

/// What an idle worker should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Verdict {
    /// Work was sighted; the worker counts as busy again.
    Retry,
    /// Marking is over.
    Over,
}

impl Termination {
    pub(crate) fn new(workers: usize) -> Termination {
        Termination { workers, idle: AtomicUsize::new(0) }
    }

    /// Waits, idle, until `sighted` sees work or everybody is idle.
    pub(crate) fn idle(&self, sighted: impl Fn() -> bool, relax: impl Fn(u32)) -> Verdict {
        // ORDERING: AcqRel: the last to become idle has seen the end of all
        // others' work (Release), and everything they wrote (Acquire).
        // Model: loom_termination::marking_ends_only_when_all_work_is_done.
        self.idle.fetch_add(1, Ordering::AcqRel);
        let mut spins = 0;
        loop {
            // ORDERING: Acquire, as above.
            if self.idle.load(Ordering::Acquire) == self.workers {
                return Verdict::Over;
            }
            if sighted() {
                // From here we count as busy; what we saw may be gone by the
                // time we reach for it, then we come back.
                // ORDERING: AcqRel keeps the chain of the others' releases.
                self.idle.fetch_sub(1, Ordering::AcqRel);
                return Verdict::Retry;
            }
            relax(spins);
            spins += 1;
        }
    }
}

#[cfg(all(test, heap_loom))]
#[path = "../tests/loom_termination.rs"]
mod loom_termination;
