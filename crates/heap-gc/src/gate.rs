//! The safepoint gate: mutators enter and leave, a collector stops the world.
//!
//! Each mutator has a [`MutatorState`]: inside (it may hold bare handles, no cycle
//! can finish) or outside. Entering and leaving cost a store, a fence and a
//! load. A collector raises the stop flag and waits until all mutators are outside.
//!
//! The core is Dekker's algorithm: a mutator writes its presence, then reads the flag; a
//! collector writes the flag, then reads the presences; with a sequentially
//! consistent fence between write and read on both sides, at least one of them
//! sees the other.
//!
//! * GA1: while a [`WorldStopped`] exists, no mutator is inside.
//! * GA2: at most one `WorldStopped` exists.
//! * GA3: what a mutator wrote before it left is seen by the collector; what the
//!   collector wrote is seen by mutators that enter afterwards.
//! * GA4: every waiter is woken: a thread that changes what others wait for notifies under the
//!   lock. Sleepers are counted under the lock as well: to notify is a call to the system, and a
//!   thread that spins would then wait for the lock.
//! * GA5: there is no starvation: a mutator that was blocked for one stop is inside before the
//!   next; and a collector waits for what each mutator is doing once only, since no mutator that
//!   finds the flag up goes inside.
//!
//! The word that mutators poll also holds the requests made of them, which belong to `requests`:
//! one bit of it is used here, that a collector stops the world.
//!
//! Models: `tests/loom_gate.rs`.

use heap_sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use heap_sync::bound;
use heap_sync::lock::{Condvar, Mutex, MutexGuard};
use heap_sync::mutant;
use heap_sync::thread::spin_loop;

/// The gate's bit of the word that mutators poll: a collector is stopping, or has stopped, the
/// world. The other bits are requests.
pub(crate) const STOP: u32 = 1;

/// How often to look before going to sleep: a short collection is over sooner than
/// a sleeper would be awake. None under the model checker.
const SPINS: usize = bound(1000, 0);

const PARKED: u32 = 0;
const RUNNING: u32 = 1;

/// Whether one mutator is inside.
#[derive(Debug)]
pub(crate) struct MutatorState {
    word: AtomicU32,
    /// Its thread will not tell when it ends, or has ended: if it is inside it may never
    /// leave (X2).
    abandoned: AtomicBool,
}

impl Default for MutatorState {
    fn default() -> Self {
        MutatorState { word: AtomicU32::new(PARKED), abandoned: AtomicBool::new(false) }
    }
}

impl MutatorState {
    /// Whether the mutator is inside. Exact for the mutator itself.
    #[inline]
    #[must_use]
    pub(crate) fn is_running(&self) -> bool {
        // ORDERING: Acquire pairs with the Release in `Gate::leave` (GA3).
        self.word.load(Ordering::Acquire) == RUNNING
    }

    /// Says that the mutator's thread has ended while inside, or is about to end and will not
    /// say so. A mutator that can still step outside does no harm while it is there.
    pub(crate) fn abandon(&self, gate: &Gate) {
        // ORDERING: Release; read under the lock that `wake` takes.
        self.abandoned.store(true, Ordering::Release);
        mutant!("abandons silently" => return);
        gate.wake();
    }

    /// Whether the mutator is inside and may stay there for good.
    fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire) && self.is_running()
    }
}

/// What a mutator does while it waits for the world to resume.
pub(crate) trait WhileBlocked {
    /// Called again and again until the world resumes or the mutator is about to go to sleep; then
    /// the value is dropped. Neither making it nor looking nor dropping it unwinds: the mutator
    /// would stay counted as blocked.
    fn poll(&self);
}

impl WhileBlocked for () {
    fn poll(&self) {}
}

/// A look at whether a safepoint is wanted: see [`Mutator::poll_flag`](crate::Mutator::poll_flag).
#[derive(Clone, Copy, Debug)]
pub struct PollFlag<'a>(&'a AtomicU32);

impl PollFlag<'_> {
    /// As [`Mutator::poll`](crate::Mutator::poll), with one load.
    #[inline(always)]
    #[must_use]
    pub fn is_raised(self) -> bool {
        // ORDERING: Relaxed: a hint; the safepoint itself synchronises.
        self.0.load(Ordering::Relaxed) != 0
    }
}

/// The gate of one heap.
#[derive(Debug)]
pub(crate) struct Gate {
    poll: AtomicU32,
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// Whether the collector lock is held, and how many must get inside before it is given again.
#[derive(Debug, Default)]
struct Queue {
    /// Whether a collector holds the collector lock.
    held: bool,
    /// Mutators that are blocked (GA5).
    blocked: usize,
    /// Threads that sleep until something changes (GA4).
    asleep: usize,
    /// How often the world was told to stop. May wrap.
    stops: usize,
}

impl Default for Gate {
    fn default() -> Self {
        Gate { poll: AtomicU32::new(0), queue: Mutex::default(), changed: Condvar::new() }
    }
}

impl Gate {
    /// Whether a mutator should come to a safepoint: one relaxed load.
    #[inline(always)]
    #[must_use]
    pub(crate) fn poll(&self) -> bool {
        self.poll_flag().is_raised()
    }

    /// What [`Gate::poll`] looks at, for loops that keep it at hand.
    #[inline(always)]
    pub(crate) fn poll_flag(&self) -> PollFlag<'_> {
        PollFlag(&self.poll)
    }

    /// The word that mutators poll. All bits but [`STOP`] are `requests`' to write.
    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.poll
    }

    /// Steps inside; waits while the world is stopped.
    pub(crate) fn enter(&self, state: &MutatorState) {
        self.enter_while_blocked(state, || ());
    }

    /// The same; if it has to wait, `begin` says what to do until the world resumes.
    pub(crate) fn enter_while_blocked<M: WhileBlocked>(
        &self,
        state: &MutatorState,
        begin: impl FnOnce() -> M,
    ) {
        // ORDERING: Relaxed store, ordered before the load by the fence, which pairs
        // with the fence in `raise` (Dekker).
        // Model: loom_gate::nobody_is_inside_while_the_world_is_stopped.
        state.word.store(RUNNING, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        mutant!("enters blindly" => return);
        // ORDERING: Acquire pairs with the Release in `resume` (GA3).
        if self.poll.load(Ordering::Acquire) & STOP != 0 {
            self.block_for_stop(state, begin);
        }
    }

    /// Steps outside.
    pub(crate) fn leave(&self, state: &MutatorState) {
        // ORDERING: Release pairs with the Acquire in `is_running` (GA3).
        state.word.store(PARKED, Ordering::Release);
        fence(Ordering::SeqCst);
        mutant!("leaves silently" => return);
        if self.poll.load(Ordering::Relaxed) & STOP != 0 {
            self.wake();
        }
    }

    /// Outside until the world runs again, then inside; `begin` as in
    /// `enter_while_blocked`.
    #[cold]
    pub(crate) fn block_for_stop<M: WhileBlocked>(
        &self,
        state: &MutatorState,
        begin: impl FnOnce() -> M,
    ) {
        self.enqueue_blocked(state);
        let while_blocked = begin();
        for _ in 0..SPINS {
            if self.poll.load(Ordering::Relaxed) & STOP == 0 {
                break;
            }
            while_blocked.poll();
            spin_loop();
        }
        drop(while_blocked);
        let mut queue = self.queue.lock();
        while self.poll.load(Ordering::Relaxed) & STOP != 0 {
            queue = self.sleep(queue);
        }
        // ORDERING: Relaxed: under the lock, and so is the look of the next collector
        // that stops the world: it claims after us (GA5).
        state.word.store(RUNNING, Ordering::Relaxed);
        self.unblock(&mut queue);
    }

    /// Steps outside, as a mutator that must be inside again before the next stop. In this order:
    /// the collector cannot be done before we are counted.
    fn enqueue_blocked(&self, state: &MutatorState) {
        let mut queue = self.queue.lock();
        queue.blocked += 1;
        // ORDERING: Release pairs with the Acquire in `is_running` (GA3).
        state.word.store(PARKED, Ordering::Release);
        mutant!("blocks silently" => return);
        self.notify(&queue);
    }

    fn unblock(&self, queue: &mut Queue) {
        queue.blocked -= 1;
        mutant!("comes back silently" => return);
        if queue.blocked == 0 {
            self.notify(queue);
        }
    }

    /// Wakes all sleepers (GA4), after a change of the word.
    #[cold]
    pub(crate) fn wake(&self) {
        let queue = self.queue.lock();
        self.notify(&queue);
    }

    /// Sleeps until something changes.
    fn sleep<'q>(&self, mut queue: MutexGuard<'q, Queue>) -> MutexGuard<'q, Queue> {
        queue.asleep += 1;
        let mut queue = self.changed.wait(queue);
        queue.asleep -= 1;
        queue
    }

    /// Wakes all sleepers; the caller has changed something, under the lock.
    fn notify(&self, queue: &Queue) {
        if queue.asleep > 0 {
            self.changed.notify_all();
        }
    }

    /// Takes the collector lock; waits while another thread has it, and for mutators that are
    /// blocked (GA5). The caller is outside.
    pub(crate) fn claim(&self) -> CollectorLock<'_> {
        self.claim_unless(|_| false).expect("the lock is waited for")
    }

    /// Takes the collector lock, unless another thread has it and `gives_up` says so, when told
    /// whether the world was stopped since the call. It is asked under the lock, and again when
    /// something has changed.
    pub(crate) fn claim_unless(
        &self,
        gives_up: impl Fn(bool) -> bool,
    ) -> Option<CollectorLock<'_>> {
        let mut queue = self.queue.lock();
        mutant!("claims blindly" => return Some(CollectorLock { gate: self }));
        let stops = queue.stops;
        while if queue.held { !gives_up(queue.stops != stops) } else { queue.blocked > 0 } {
            queue = self.sleep(queue);
        }
        if queue.held {
            return None;
        }
        queue.held = true;
        Some(CollectorLock { gate: self })
    }
}

/// The right to collect (GA2). The world still runs.
#[derive(Debug)]
#[must_use = "dropping it releases the lock"]
pub(crate) struct CollectorLock<'g> {
    gate: &'g Gate,
}

impl<'g> CollectorLock<'g> {
    /// Raises the stop flag: no mutator steps inside from here on, and those inside are asked to
    /// leave.
    ///
    /// Only now may the caller list the mutators to wait for. One that is put on
    /// the list later, before it enters for the first time and under the lock
    /// with which the list is read, sees the flag and stays outside (GA1). One
    /// that was put on the list before is on it.
    pub(crate) fn raise(&self) -> Stopping<'_> {
        let gate = self.gate;
        // ORDERING: Relaxed, ordered before the reads of `Stopping::wait` by the
        // fence, which pairs with the fences in `enter` and `leave` (Dekker).
        // Model: loom_gate::nobody_is_inside_while_the_world_is_stopped.
        gate.poll.fetch_or(STOP, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Stopping { stopped: WorldStopped { gate } }
    }
}

impl Drop for CollectorLock<'_> {
    fn drop(&mut self) {
        let mut queue = self.gate.queue.lock();
        queue.held = false;
        mutant!("gives back silently" => return);
        self.gate.notify(&queue);
    }
}

/// The stop flag is up; mutators may still be inside. Dropping it lowers the
/// flag.
#[derive(Debug)]
#[must_use = "dropping it resumes the world"]
pub(crate) struct Stopping<'c> {
    stopped: WorldStopped<'c>,
}

impl<'c> Stopping<'c> {
    /// Whether it is this gate's flag that is up.
    #[must_use]
    pub(crate) fn is_of(&self, gate: &Gate) -> bool {
        std::ptr::eq(self.stopped.gate, gate)
    }

    /// Waits until every mutator of `mutators` is outside. `None` if one that is inside may
    /// never be, because its thread has ended or will not tell.
    ///
    /// # Safety
    ///
    /// `mutators` are all mutators of the gate that may be inside: those of a list that was
    /// read after the flag was raised, as [`CollectorLock::raise`] wants it.
    #[must_use]
    pub(crate) unsafe fn wait<'p>(
        self,
        mutators: impl Iterator<Item = &'p MutatorState> + Clone,
    ) -> Option<WorldStopped<'c>> {
        let gate = self.stopped.gate;
        for _ in 0..SPINS {
            if !mutators.clone().any(MutatorState::is_running) {
                break;
            }
            spin_loop();
        }
        let mut queue = gate.queue.lock();
        // For threads that wait for it (`claim_unless`).
        queue.stops = queue.stops.wrapping_add(1);
        gate.notify(&queue);
        loop {
            if mutators.clone().any(MutatorState::is_abandoned) {
                // Lowering the flag takes the lock, to wake the mutators that are blocked.
                drop(queue);
                return None;
            }
            if !mutators.clone().any(MutatorState::is_running) {
                return Some(self.stopped);
            }
            queue = gate.sleep(queue);
            mutant!("waits once" => return Some(self.stopped));
        }
    }
}

/// Proof that no mutator is inside. The world resumes when it drops.
#[derive(Debug)]
#[must_use = "dropping it resumes the world"]
pub(crate) struct WorldStopped<'c> {
    gate: &'c Gate,
}

impl Drop for WorldStopped<'_> {
    fn drop(&mut self) {
        let queue = self.gate.queue.lock();
        // ORDERING: Release pairs with the Acquire in `enter` (GA3).
        self.gate.poll.fetch_and(!STOP, Ordering::Release);
        mutant!("resumes silently" => return);
        self.gate.notify(&queue);
    }
}

#[cfg(all(test, not(heap_loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn an_abandoned_mutator_makes_stopping_fail_instead_of_hang() {
        let gate = Arc::new(Gate::default());
        let state = Arc::new(MutatorState::default());
        gate.enter(&state);
        let stopper = {
            let (gate, state) = (gate.clone(), state.clone());
            std::thread::spawn(move || {
                let collector = gate.claim();
                // SAFETY: the only mutator there is.
                let world = unsafe { collector.raise().wait([&*state].into_iter()) };
                world.is_none()
            })
        };
        state.abandon(&gate);
        assert!(stopper.join().unwrap());
        assert!(!gate.poll(), "the world runs on");
    }
}

#[cfg(all(test, heap_loom))]
#[path = "tests/loom_gate.rs"]
mod loom_gate;
