//! [`Requests`]: what is asked of mutators at their next safepoint, and how it is answered.
//!
//! A request is a bit of the word that mutators poll; the stop bit of that word is the
//! [`gate`](crate::gate)'s. There are requests for a *step* of a collection (to begin one, or
//! to go on) and for a *whole* one, which begins after the request.
//!
//! * GA6: a request is withdrawn only by a collection that sees what was done before it, or that
//!   was tried without success after it (X2); one that comes after stays. It is withdrawn while the
//!   stop flag is up, so a mutator that has made a request either finds at its safepoint that it
//!   should collect, or is blocked there for a collector.
//!
//! How it is kept: [`Requests::withdraw`] wants the stop flag up and returns [`Withdrawn`], which
//! is told what the stop does; and a safepoint comes to an [`Answer`], which says whether to look
//! once more.
//!
//! Models: `tests/loom_requests.rs`; for mutators that wait for a collector, `tests/loom_gate.rs`.

use heap_sync::atomic::Ordering;
use heap_sync::mutant;

use crate::gate::{CollectorLock, Gate, STOP, Stopping, WorldStopped};

/// A collection is due.
const GC_REQUESTED: u32 = 2;
/// A collection is due at every safepoint.
const GC_ALWAYS: u32 = 4;
/// A step of a collection is due.
const STEP_REQUESTED: u32 = 8;

/// What a mutator at a safepoint is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Nothing.
    None,
    /// Step outside: a collector waits.
    Block,
    /// Begin a collection, or go on with the one that is under way.
    Step,
    /// A whole collection.
    Gc,
}

/// The requests of one heap: the bits of its gate's word that are not the gate's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requests<'g>(&'g Gate);

impl<'g> Requests<'g> {
    /// Those that mutators of the gate find.
    #[inline(always)]
    pub(crate) fn of(gate: &'g Gate) -> Requests<'g> {
        Requests(gate)
    }

    /// What a mutator at a safepoint should do.
    #[must_use]
    pub(crate) fn get(self) -> Request {
        let word = self.0.word().load(Ordering::Relaxed);
        if word & STOP != 0 {
            Request::Block
        } else if word & GC_REQUESTED != 0 {
            Request::Gc
        } else if word != 0 {
            Request::Step
        } else {
            Request::None
        }
    }

    /// Asks for a whole collection at the next safepoint; one that has not begun to mark
    /// will do.
    pub(crate) fn request_gc(self) {
        self.set_hint(GC_REQUESTED);
    }

    /// Asks for a collection that sees what was done before the call (GA6).
    pub(crate) fn request_gc_from_now(self) {
        // ORDERING: Release pairs with the Acquire in `take`. Written also if there is a request: a
        // thread that withdraws that one might not see what we did.
        // Model: loom_requests::a_request_is_answered_by_a_later_look.
        self.0.word().fetch_or(GC_REQUESTED, Ordering::Release);
    }

    /// Asks for a step of a collection at the next safepoint.
    pub(crate) fn request_step(self) {
        self.set_hint(STEP_REQUESTED);
    }

    /// Asks for a collection at every safepoint from now on.
    pub(crate) fn request_always(self) {
        self.set_hint(GC_ALWAYS);
    }

    fn set_hint(self, bit: u32) {
        // ORDERING: Relaxed: a hint. Looked at first, as many ask for the same.
        if self.0.word().load(Ordering::Relaxed) & bit == 0 {
            self.0.word().fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Whether there is a request for a whole collection.
    #[must_use]
    pub(crate) fn gc_requested(self) -> bool {
        // ORDERING: Relaxed: for others a hint. A mutator sees its own request, unless it
        // was withdrawn; and a collector that has stopped the world sees those of the
        // mutators that it waited for (GA3).
        self.0.word().load(Ordering::Relaxed) & GC_REQUESTED != 0
    }

    /// Withdraws the requests so far. Says whether a whole collection was asked for.
    fn take(self) -> bool {
        let all = GC_REQUESTED | STEP_REQUESTED;
        // ORDERING: Acquire pairs with the Release in `request_gc_from_now`.
        let gc = self.0.word().fetch_and(!all, Ordering::Acquire) & GC_REQUESTED != 0;
        mutant!("withdraws silently" => return gc);
        if gc {
            // For mutators that wait for the collector lock because of it (GA4).
            self.0.wake();
        }
        gc
    }

    /// Withdraws the requests for a step, with the world stopped or before sweeping for a while:
    /// what is still due then is requested again by the next grant. Those for a whole collection
    /// stay: one that has begun before them does not answer them (GA6).
    pub(crate) fn clear_step(self, _collector: &CollectorLock<'_>) {
        // ORDERING: Relaxed: a hint.
        self.0.word().fetch_and(!STEP_REQUESTED, Ordering::Relaxed);
    }

    /// Withdraws the requests so far: not before the stop flag is up (GA6), and before it is
    /// known whether the world can be stopped. Later requests must stay if it cannot.
    pub(crate) fn withdraw(self, _stopping: &Stopping<'_>) -> Withdrawn<'g> {
        Withdrawn { gc: self.take(), requests: self }
    }

    // ---- mutators that come to answer ------------------------------------------------

    /// Takes the collector lock, unless another thread has it and answers all requests.
    /// Waits for mutators that are blocked (GA5): the world runs, or will do so once the other one
    /// has collected; and while there is a request that the holder of the collector lock may have
    /// been too early to see.
    pub(crate) fn try_claim(self) -> Option<CollectorLock<'g>> {
        self.0.claim_unless(|_| !self.gc_requested())
    }

    /// The same; but if another thread has the collector lock, waits until it stops the world or
    /// releases the lock, and uses up no memory before. A mutator that the stop makes return is
    /// blocked when it comes inside, unless it was slow to wake up and the stop is over.
    pub(crate) fn claim_before_stop(self) -> Option<CollectorLock<'g>> {
        self.0.claim_unless(|stopped| {
            (stopped || self.get() == Request::Block) && !self.gc_requested()
        })
    }

    /// Whether a mutator is to look once more, when its safepoint has come to `answer`: the
    /// stop of another one serves as well, but not a step of a collection that had begun before
    /// a whole one was requested (CY2), nor a stop that is no collection's.
    #[must_use]
    pub(crate) fn is_open(self, answer: Answer) -> bool {
        answer == Answer::ByAnother && self.gc_requested()
    }
}

/// What a safepoint has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a request may still be open"]
pub(crate) enum Answer {
    /// Nothing was asked, or this mutator has collected.
    Done,
    /// Another thread stops the world, or will.
    ByAnother,
}

/// Requests that a stop has withdrawn, and that are to be answered.
#[derive(Debug)]
#[must_use = "requests were withdrawn; something must answer them"]
pub(crate) struct Withdrawn<'g> {
    requests: Requests<'g>,
    /// Whether there was one for a whole collection.
    gc: bool,
}

impl Withdrawn<'_> {
    /// A collection begins, and has looked at nothing yet: it answers them, and those that
    /// were made until now. Says whether there was one for a whole collection.
    #[must_use]
    pub(crate) fn answer(self, _world: &WorldStopped<'_>) -> bool {
        self.requests.take() || self.gc
    }

    /// The stop is for a collection that had begun before: a request for a whole one stays for the
    /// next. Says whether there is such a request.
    #[must_use]
    pub(crate) fn put_back(self, _world: &WorldStopped<'_>) -> bool {
        mutant!("forgets a request" => return false);
        if self.gc {
            self.requests.request_gc_from_now();
        }
        self.requests.gc_requested()
    }

    /// The world could not be stopped: no collection answers them (X2).
    pub(crate) fn refuse(self) {}
}

#[cfg(all(test, not(heap_loom)))]
#[allow(unsafe_code, reason = "stops worlds without mutators")]
mod tests {
    use super::*;

    #[test]
    fn requests_tell_a_mutator_what_to_do() {
        let gate = Gate::default();
        let requests = Requests::of(&gate);
        assert_eq!(requests.get(), Request::None);
        requests.request_gc();
        assert!(gate.poll());
        assert_eq!(requests.get(), Request::Gc);
        assert!(requests.take());
        assert_eq!(requests.get(), Request::None);
        requests.request_step();
        assert_eq!(requests.get(), Request::Step);
        assert!(!requests.gc_requested());
        requests.request_gc_from_now();
        let collector = gate.claim();
        assert!(requests.is_open(Answer::ByAnother) && !requests.is_open(Answer::Done));
        assert!(requests.take());
        requests.request_step();
        assert!(!requests.take());
        assert!(requests.try_claim().is_none(), "GA2");
        assert!(!requests.is_open(Answer::ByAnother));
        // SAFETY: there are no mutators.
        let stopped = unsafe { collector.raise().wait(std::iter::empty()) }.unwrap();
        assert_eq!(requests.get(), Request::Block);
        drop(stopped);
        assert!(!gate.poll());
        requests.request_always();
        assert!(!requests.take());
        assert_eq!(requests.get(), Request::Step, "it is never withdrawn");
    }

    type Ask = fn(Requests<'_>);

    fn gc(requests: Requests<'_>) {
        requests.request_gc_from_now();
    }

    fn step(requests: Requests<'_>) {
        requests.request_step();
    }

    fn none(_: Requests<'_>) {}

    /// Requests `before`, stops the world, requests `since`, and says what `stop` makes of it and
    /// what is requested at the end.
    fn stop(
        before: Ask,
        since: Ask,
        stop: fn(Withdrawn<'_>, &WorldStopped<'_>) -> bool,
    ) -> (bool, Request) {
        let gate = Gate::default();
        let requests = Requests::of(&gate);
        before(requests);
        let collector = gate.claim();
        let stopping = collector.raise();
        let withdrawn = requests.withdraw(&stopping);
        // SAFETY: there are no mutators.
        let world = unsafe { stopping.wait(std::iter::empty()) }.unwrap();
        since(requests);
        let gc = stop(withdrawn, &world);
        drop(world);
        (gc, requests.get())
    }

    #[test]
    fn a_collection_that_begins_answers_all_requests_until_then() {
        let cases: [(Ask, Ask, bool); 4] =
            [(gc, none, true), (none, gc, true), (gc, step, true), (step, step, false)];
        for (before, since, whole) in cases {
            assert_eq!(stop(before, since, |w, world| w.answer(world)), (whole, Request::None));
        }
    }

    #[test]
    fn a_later_step_of_a_collection_answers_requests_for_a_step_only() {
        let cases: [(Ask, Ask); 3] = [(gc, none), (none, gc), (gc, step)];
        for (before, since) in cases {
            let stopped = stop(before, since, |w, world| w.put_back(world));
            assert_eq!(stopped, (true, Request::Gc), "GA6");
        }
        assert_eq!(stop(step, none, |w, world| w.put_back(world)), (false, Request::None));
        assert_eq!(stop(none, step, |w, world| w.put_back(world)), (false, Request::Step));
    }

    #[test]
    fn requests_for_a_whole_collection_survive_the_withdrawal_of_those_for_a_step() {
        let gate = Gate::default();
        let requests = Requests::of(&gate);
        let collector = gate.claim();
        // SAFETY: there are no mutators.
        let world = unsafe { collector.raise().wait(std::iter::empty()) }.unwrap();
        requests.request_gc_from_now();
        requests.request_step();
        requests.clear_step(&collector);
        drop(world);
        assert!(requests.gc_requested() && gate.poll(), "GA6: a step answers no request");
        assert!(requests.take());
        assert_eq!(requests.get(), Request::None);
    }
}

#[cfg(all(test, heap_loom))]
#[path = "tests/loom_requests.rs"]
#[allow(unsafe_code, reason = "lists the mutators of a model")]
mod loom_requests;
