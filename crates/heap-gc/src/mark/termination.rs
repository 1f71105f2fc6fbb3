//! When is parallel marking over?
//!
//! The collecting thread is active from the start; others join when they come,
//! and may come late or never. A worker that runs out of work ceases to be
//! active. It does so only while its own queue is empty and it holds no item;
//! only owners push to queues. So when no worker is active, there is no work anywhere, and from
//! then on no worker can join.
//!
//! * TE1: no worker gets `Verdict::Over` while there is work, and a worker that gets it sees all
//!   that was done.
//! * TE2: when there is no work any more, every worker gets `Verdict::Over`.
//! * TE3: a worker that joined is waited for; one that comes too late is told.
//! * TE4: a worker that leaves its work to a later slice stays active, so no worker gets
//!   `Verdict::Over`; an idle worker must see by itself that the slice has ended.
//!
//! Model: `tests/loom_termination.rs`.

use heap_sync::atomic::{AtomicUsize, Ordering};

/// Counts the active workers of a cycle.
#[derive(Debug)]
pub(crate) struct Termination {
    /// Zero: marking is over.
    active: AtomicUsize,
}

/// What an idle worker should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Verdict {
    /// Work was sighted; the worker is active again.
    Retry,
    /// Marking is over.
    Over,
}

impl Termination {
    /// Marking in which one worker, the collecting thread, is active.
    pub(crate) fn new() -> Termination {
        Termination { active: AtomicUsize::new(1) }
    }

    /// Makes the caller an active worker, unless marking is over.
    #[must_use]
    pub(crate) fn join(&self) -> bool {
        heap_sync::mutant!("joins blindly" => {
            self.active.fetch_add(1, Ordering::Relaxed);
            return true;
        });
        let mut active = self.active.load(Ordering::Relaxed);
        while active != 0 {
            // ORDERING: AcqRel continues the chain of releases of the workers that became idle; on
            // failure nothing was read but the count.
            // Model: loom_termination::late_workers_are_waited_for_or_told.
            match self.active.compare_exchange_weak(
                active,
                active + 1,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => active = now,
            }
        }
        false
    }

    /// Waits, idle, until `sighted` sees work or all workers are idle.
    pub(crate) fn idle(&self, sighted: impl Fn() -> bool, relax: impl Fn(u32)) -> Verdict {
        // ORDERING: AcqRel: the last to become idle has seen the end of all
        // others' work (Release), and everything they wrote (Acquire).
        // Model: loom_termination::marking_ends_only_when_all_work_is_done.
        if self.active.fetch_sub(1, Ordering::AcqRel) == 1 {
            return Verdict::Over;
        }
        let mut spins = 0;
        loop {
            // ORDERING: Acquire, as above.
            if self.active.load(Ordering::Acquire) == 0 {
                return Verdict::Over;
            }
            // What we saw may be gone by the time we reach for it, then we come
            // back. If it was the last work there was, and is done, it is over.
            if sighted() && self.join() {
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
