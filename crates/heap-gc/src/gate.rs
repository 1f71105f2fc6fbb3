//! The safepoint gate: mutators enter and leave, a collector stops the world.
//!
//! Each mutator has a [`Presence`]: inside (it may hold bare handles, no cycle
//! can finish) or outside. Entering and leaving cost a store, a fence and a
//! load. A collector raises the stop flag and waits until everybody is outside.
//!
//! The heart is Dekker's: a mutator writes its presence, then reads the flag; a
//! collector writes the flag, then reads the presences; with a sequentially
//! consistent fence between write and read on both sides, at least one of them
//! sees the other.
//!
//! * GA1: while a [`WorldStopped`] exists, no mutator is inside.
//! * GA2: at most one `WorldStopped` exists.
//! * GA3: what a mutator wrote before it left is seen by the collector; what the
//!   collector wrote is seen by mutators that enter afterwards.
//! * GA4: every waiter is woken: whoever changes what others wait for notifies
//!   under the lock. Who sleeps is counted under the lock as well: to notify is a
//!   call to the system, and whoever spins would then wait for the lock.
//! * GA5: nobody starves: a mutator that stood aside for one stop is inside before
//!   the next; and a collector waits for what each mutator is doing once only, since
//!   nobody who finds the flag up goes inside.
//! * GA6: a request is withdrawn only by a collection that sees what was done before
//!   it, or that was tried in vain after it (X2); one that comes after stays. It is
//!   withdrawn while the stop flag is up, so a mutator that has asked finds at its safepoint
//!   that it should collect, or stand aside for somebody who does.
//!
//! Models: `tests/loom_gate.rs`.

use heap_sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use heap_sync::bound;
use heap_sync::lock::{Condvar, Mutex, MutexGuard};
use heap_sync::thread::spin_loop;

/// `Gate::poll`: a collector is stopping, or has stopped, the world.
const STOP: u32 = 1;
/// `Gate::poll`: a collection is due.
const WANTED: u32 = 2;
/// `Gate::poll`: a collection is due at every safepoint.
const ALWAYS: u32 = 4;
/// `Gate::poll`: a step of a collection is due.
const STEP: u32 = 8;

/// How often to look before going to sleep: a short collection is over sooner than
/// a sleeper would be awake. None under the model checker.
const SPINS: usize = bound(1000, 0);

const OUTSIDE: u32 = 0;
const INSIDE: u32 = 1;

/// Whether one mutator is inside.
#[derive(Debug)]
pub(crate) struct Presence {
    state: AtomicU32,
    /// Its thread will not tell when it ends, or has ended: if it is inside it may never
    /// leave (X2).
    abandoned: AtomicBool,
}

impl Default for Presence {
    fn default() -> Self {
        Presence { state: AtomicU32::new(OUTSIDE), abandoned: AtomicBool::new(false) }
    }
}

impl Presence {
    /// Whether the mutator is inside. Exact for the mutator itself.
    #[inline]
    #[must_use]
    pub(crate) fn is_inside(&self) -> bool {
        // ORDERING: Acquire pairs with the Release in `Gate::leave` (GA3).
        self.state.load(Ordering::Acquire) == INSIDE
    }

    /// Says that the mutator's thread has ended while inside, or is about to end and will not
    /// say so. A mutator that can still step outside does no harm while it is there.
    pub(crate) fn abandon(&self, gate: &Gate) {
        // ORDERING: Release; read under the lock that `wake` takes.
        self.abandoned.store(true, Ordering::Release);
        gate.wake();
    }

    /// Whether the mutator is inside and may stay there for good.
    fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire) && self.is_inside()
    }
}

/// What a mutator at a safepoint is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Nothing.
    None,
    /// Step outside: a collector waits.
    StepAside,
    /// Collect, or do a step of a collection.
    Collect,
}

/// What a mutator does while it waits for the world to resume.
pub(crate) trait Meanwhile {
    /// Called again and again until the world resumes or the mutator is about to go to
    /// sleep; then the value is dropped. Making it, looking and dropping do not unwind: the
    /// mutator would stay in line.
    fn look(&self);
}

impl Meanwhile for () {
    fn look(&self) {}
}

/// The gate of one heap.
#[derive(Debug)]
pub(crate) struct Gate {
    poll: AtomicU32,
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// Who has the right to collect, and who must get inside before it is given again.
#[derive(Debug, Default)]
struct Queue {
    /// Whether a collector holds the right to stop the world.
    held: bool,
    /// Mutators that stand aside (GA5).
    aside: usize,
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
        // ORDERING: Relaxed: a hint; the safepoint itself synchronises.
        self.poll.load(Ordering::Relaxed) != 0
    }

    /// What a mutator at a safepoint should do.
    #[must_use]
    pub(crate) fn request(&self) -> Request {
        let poll = self.poll.load(Ordering::Relaxed);
        if poll & STOP != 0 {
            Request::StepAside
        } else if poll != 0 {
            Request::Collect
        } else {
            Request::None
        }
    }

    /// Asks for a whole collection at the next safepoint; one that has not begun to mark
    /// will do.
    pub(crate) fn want(&self) {
        // ORDERING: Relaxed: a hint.
        if self.poll.load(Ordering::Relaxed) & WANTED == 0 {
            self.poll.fetch_or(WANTED, Ordering::Relaxed);
        }
    }

    /// Asks for a collection that sees what was done before the call (GA6).
    pub(crate) fn want_from_now(&self) {
        // ORDERING: Release pairs with the Acquire in `satisfied`. Written also if
        // there is a request: who withdraws that one might not see what we did.
        // Model: loom_gate::a_request_is_answered_by_a_later_look.
        self.poll.fetch_or(WANTED, Ordering::Release);
    }

    /// Asks for a step of a collection at the next safepoint: to begin one, or to go on.
    pub(crate) fn want_step(&self) {
        // ORDERING: Relaxed: a hint.
        if self.poll.load(Ordering::Relaxed) & STEP == 0 {
            self.poll.fetch_or(STEP, Ordering::Relaxed);
        }
    }

    /// Whether somebody asks for a whole collection.
    #[must_use]
    pub(crate) fn is_wanted(&self) -> bool {
        // ORDERING: Relaxed: for others a hint. A mutator sees its own request, unless it
        // was withdrawn; and a collector that has stopped the world sees those of the
        // mutators that it waited for (GA3).
        self.poll.load(Ordering::Relaxed) & WANTED != 0
    }

    /// Withdraws the requests so far, which a collection is about to answer: the
    /// collector calls it before it looks at anything, and when the stop flag is up (GA6).
    /// Says whether a whole one was asked for.
    pub(crate) fn satisfied(&self) -> bool {
        // ORDERING: Acquire pairs with the Release in `want_from_now`.
        let wanted = self.poll.fetch_and(!(WANTED | STEP), Ordering::Acquire) & WANTED != 0;
        if wanted {
            // For those who wait to claim.
            self.wake();
        }
        wanted
    }

    /// Withdraws the requests for a step. Those for a whole collection stay: one that
    /// has begun before them does not answer them (GA6).
    pub(crate) fn stepped(&self) {
        // ORDERING: Relaxed: a hint.
        self.poll.fetch_and(!STEP, Ordering::Relaxed);
    }

    /// Asks for a collection at every safepoint from now on.
    pub(crate) fn want_always(&self) {
        self.poll.fetch_or(ALWAYS, Ordering::Relaxed);
    }

    /// Steps inside; waits while the world is stopped.
    pub(crate) fn enter(&self, presence: &Presence) {
        self.enter_meanwhile(presence, || ());
    }

    /// The same; if it has to wait, `begin` says what to do meanwhile.
    pub(crate) fn enter_meanwhile<M: Meanwhile>(
        &self,
        presence: &Presence,
        begin: impl FnOnce() -> M,
    ) {
        // ORDERING: Relaxed store, ordered before the load by the fence, which pairs
        // with the fence in `raise` (Dekker).
        // Model: loom_gate::nobody_is_inside_while_the_world_is_stopped.
        presence.state.store(INSIDE, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // ORDERING: Acquire pairs with the Release in `resume` (GA3).
        if self.poll.load(Ordering::Acquire) & STOP != 0 {
            self.step_aside(presence, begin);
        }
    }

    /// Steps outside.
    pub(crate) fn leave(&self, presence: &Presence) {
        // ORDERING: Release pairs with the Acquire in `is_inside` (GA3).
        presence.state.store(OUTSIDE, Ordering::Release);
        fence(Ordering::SeqCst);
        if self.poll.load(Ordering::Relaxed) & STOP != 0 {
            self.wake();
        }
    }

    /// Outside until the world runs again, then inside; `begin` as in
    /// `enter_meanwhile`.
    #[cold]
    pub(crate) fn step_aside<M: Meanwhile>(&self, presence: &Presence, begin: impl FnOnce() -> M) {
        self.line_up(presence);
        let meanwhile = begin();
        for _ in 0..SPINS {
            if self.poll.load(Ordering::Relaxed) & STOP == 0 {
                break;
            }
            meanwhile.look();
            spin_loop();
        }
        drop(meanwhile);
        let mut queue = self.queue.lock();
        while self.poll.load(Ordering::Relaxed) & STOP != 0 {
            queue = self.sleep(queue);
        }
        // ORDERING: Relaxed: under the lock, and so is the look of the next collector
        // that stops the world: it claims after us (GA5).
        presence.state.store(INSIDE, Ordering::Relaxed);
        self.let_through(&mut queue);
    }

    /// Steps outside, as one who must be inside again before the next stop. In this
    /// order: the collector cannot be done before we are in line.
    fn line_up(&self, presence: &Presence) {
        let mut queue = self.queue.lock();
        queue.aside += 1;
        // ORDERING: Release pairs with the Acquire in `is_inside` (GA3).
        presence.state.store(OUTSIDE, Ordering::Release);
        self.notify(&queue);
    }

    fn let_through(&self, queue: &mut Queue) {
        queue.aside -= 1;
        if queue.aside == 0 {
            self.notify(queue);
        }
    }

    #[cold]
    fn wake(&self) {
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

    /// Wakes all who sleep; the caller has changed something, under the lock.
    fn notify(&self, queue: &Queue) {
        if queue.asleep > 0 {
            self.changed.notify_all();
        }
    }

    /// Takes the right to collect; waits while somebody else has it, and for those
    /// who stand aside (GA5). The caller is outside.
    pub(crate) fn claim(&self) -> Collector<'_> {
        self.claim_unless(|_| false).expect("who does not give up gets the right")
    }

    /// Takes the right to collect, unless somebody else has it and answers all requests.
    /// Waits for those who stand aside (GA5): the world runs, or will do so once somebody
    /// else has collected; and while there is a request that whoever has the right may have
    /// been too early to hear.
    pub(crate) fn try_claim(&self) -> Option<Collector<'_>> {
        self.claim_unless(|_| !self.is_wanted())
    }

    /// The same; but if somebody else has the right, waits until they stop the world or give
    /// the right back, and uses up no memory before. Who is let go by the stop stands aside
    /// when it comes inside, unless it was slow to wake up and the stop is over.
    pub(crate) fn claim_before_stop(&self) -> Option<Collector<'_>> {
        self.claim_unless(|stopped| {
            (stopped || self.request() == Request::StepAside) && !self.is_wanted()
        })
    }

    /// Takes the right to collect, unless somebody else has it and `gives_up` says so, when
    /// told whether the world was stopped since the call. It is asked under the lock, and
    /// again when something has changed.
    fn claim_unless(&self, gives_up: impl Fn(bool) -> bool) -> Option<Collector<'_>> {
        let mut queue = self.queue.lock();
        let stops = queue.stops;
        while if queue.held { !gives_up(queue.stops != stops) } else { queue.aside > 0 } {
            queue = self.sleep(queue);
        }
        if queue.held {
            return None;
        }
        queue.held = true;
        Some(Collector { gate: self })
    }
}

/// The right to collect (GA2). The world still runs.
#[derive(Debug)]
#[must_use = "dropping it gives the right back"]
pub(crate) struct Collector<'g> {
    gate: &'g Gate,
}

impl<'g> Collector<'g> {
    /// Raises the stop flag: nobody steps inside from here on, and those inside
    /// are asked to leave.
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

impl Drop for Collector<'_> {
    fn drop(&mut self) {
        let mut queue = self.gate.queue.lock();
        queue.held = false;
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
    /// Waits until every mutator of `members` is outside. `None` if one that is inside may
    /// never be, because its thread has ended or will not tell.
    ///
    /// # Safety
    ///
    /// `members` are all mutators of the gate that may be inside: those of a list that was
    /// read after the flag was raised, as [`Collector::raise`] wants it.
    #[must_use]
    pub(crate) unsafe fn wait<'p>(
        self,
        members: impl Iterator<Item = &'p Presence> + Clone,
    ) -> Option<WorldStopped<'c>> {
        let gate = self.stopped.gate;
        for _ in 0..SPINS {
            if !members.clone().any(Presence::is_inside) {
                break;
            }
            spin_loop();
        }
        let mut queue = gate.queue.lock();
        // For those who wait in `claim_before_stop`.
        queue.stops = queue.stops.wrapping_add(1);
        gate.notify(&queue);
        loop {
            if members.clone().any(Presence::is_abandoned) {
                // Lowering the flag takes the lock, to wake those who stepped
                // aside.
                drop(queue);
                return None;
            }
            if !members.clone().any(Presence::is_inside) {
                return Some(self.stopped);
            }
            queue = gate.sleep(queue);
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
        let presence = Arc::new(Presence::default());
        gate.enter(&presence);
        let stopper = {
            let (gate, presence) = (gate.clone(), presence.clone());
            std::thread::spawn(move || {
                let right = gate.claim();
                // SAFETY: the only mutator there is.
                let world = unsafe { right.raise().wait([&*presence].into_iter()) };
                world.is_none()
            })
        };
        presence.abandon(&gate);
        assert!(stopper.join().unwrap());
        assert_eq!(gate.request(), Request::None, "the world runs on");
    }

    #[test]
    fn requests_tell_a_mutator_what_to_do() {
        let gate = Gate::default();
        assert_eq!(gate.request(), Request::None);
        gate.want();
        assert!(gate.poll());
        assert_eq!(gate.request(), Request::Collect);
        assert!(gate.satisfied());
        assert_eq!(gate.request(), Request::None);
        gate.want_step();
        assert_eq!(gate.request(), Request::Collect);
        assert!(!gate.is_wanted());
        gate.want_from_now();
        gate.stepped();
        assert!(gate.is_wanted() && gate.poll(), "GA6: a step answers no request");
        assert!(gate.satisfied());
        gate.want_step();
        assert!(!gate.satisfied());
        let right = gate.claim();
        assert!(gate.try_claim().is_none(), "GA2");
        // SAFETY: there are no mutators.
        let stopped = unsafe { right.raise().wait(std::iter::empty()) }.unwrap();
        assert_eq!(gate.request(), Request::StepAside);
        drop(stopped);
        assert!(!gate.poll());
    }
}

#[cfg(all(test, heap_loom))]
#[path = "tests/loom_gate.rs"]
mod loom_gate;
