//! Requests for collections under the model checker, whole and with one part broken.
//!
//! A [`Steps`] is what asks and what answers. A mutant is a `Steps` in which one step lacks
//! one line.

use std::sync::Arc;

use heap_sync::atomic::{AtomicU32, Ordering};
use heap_sync::model::{caught, check, check_bounded};
use loom::thread;

use super::{GC_REQUESTED, Requests};
use crate::gate::{CollectorLock, Gate, MutatorState, Stopping};

/// What loom says when all threads wait.
const DEADLOCK: &str = "deadlock; threads";

/// The steps of the protocol. What is not overridden is the real thing.
trait Steps: 'static {
    fn ask(gate: &Gate) {
        Requests::of(gate).request_gc_from_now();
    }

    fn answer(gate: &Gate, look: impl FnOnce()) {
        Requests::of(gate).take();
        look();
    }

    /// Raises the flag and withdraws the requests there are.
    fn begin<'c>(gate: &Gate, collector: &'c CollectorLock<'_>) -> Stopping<'c> {
        let stopping = collector.raise();
        Requests::of(gate).withdraw(&stopping).refuse();
        stopping
    }
}

/// The protocol as it is.
struct Sound;

impl Steps for Sound {}

/// A thread that is no mutator drops a root and requests a collection, while one is under way that
/// was requested before: that one sees the root gone, or the request stays (GA6).
fn a_request_is_answered_by_a_later_look<S: Steps>() {
    check(|| {
        let gate = Arc::new(Gate::default());
        let dropped = Arc::new(AtomicU32::new(0));
        Requests::of(&gate).request_gc();
        let asker = {
            let (gate, dropped) = (Arc::clone(&gate), Arc::clone(&dropped));
            thread::spawn(move || {
                dropped.store(1, Ordering::Relaxed);
                S::ask(&gate);
            })
        };
        let mut seen = false;
        S::answer(&gate, || seen = dropped.load(Ordering::Relaxed) == 1);
        asker.join().unwrap();
        assert!(seen || gate.poll(), "GA6: a request is lost");
    });
}

#[test]
fn loom_a_request_is_answered_by_a_later_look() {
    a_request_is_answered_by_a_later_look::<Sound>();
}

/// Relies on a request that may be about to be withdrawn.
struct AsksOnce;

impl Steps for AsksOnce {
    fn ask(gate: &Gate) {
        // Changed: request_gc_from_now().
        Requests::of(gate).request_gc();
    }
}

#[test]
fn loom_mutant_asks_once() {
    caught("GA6: a request is lost", a_request_is_answered_by_a_later_look::<AsksOnce>);
}

/// Makes a request without publishing what it did before.
struct AsksRelaxed;

impl Steps for AsksRelaxed {
    fn ask(gate: &Gate) {
        // Changed: Ordering::Release.
        gate.word().fetch_or(GC_REQUESTED, Ordering::Relaxed);
    }
}

#[test]
fn loom_mutant_asks_relaxed() {
    caught("GA6: a request is lost", a_request_is_answered_by_a_later_look::<AsksRelaxed>);
}

/// Withdraws requests without seeing what was done before them.
struct AnswersRelaxed;

impl Steps for AnswersRelaxed {
    fn answer(gate: &Gate, look: impl FnOnce()) {
        // Changed: Ordering::Acquire.
        gate.word().fetch_and(!GC_REQUESTED, Ordering::Relaxed);
        look();
    }
}

#[test]
fn loom_mutant_answers_relaxed() {
    caught("GA6: a request is lost", a_request_is_answered_by_a_later_look::<AnswersRelaxed>);
}

/// Withdraws requests when all is done.
struct AnswersLate;

impl Steps for AnswersLate {
    fn answer(gate: &Gate, look: impl FnOnce()) {
        look();
        // Moved: before the look.
        Requests::of(gate).take();
    }
}

#[test]
fn loom_mutant_answers_late() {
    caught("GA6: a request is lost", a_request_is_answered_by_a_later_look::<AnswersLate>);
}

/// A mutator that requests a collection and comes to a safepoint finds something to do there, also
/// if its request is withdrawn in between.
fn a_request_is_not_passed_by<S: Steps>() {
    check(|| {
        let gate = Arc::new(Gate::default());
        let me = Arc::new(MutatorState::default());
        // Another thread has made a request before.
        Requests::of(&gate).request_gc();
        let asker = {
            let (gate, me) = (Arc::clone(&gate), Arc::clone(&me));
            thread::spawn(move || {
                gate.enter(&me);
                Requests::of(&gate).request_gc();
                assert!(gate.poll(), "GA6: passed by");
                gate.leave(&me);
            })
        };
        let collector = gate.claim();
        // SAFETY: the only mutator there is.
        drop(unsafe { S::begin(&gate, &collector).wait([&*me].into_iter()) });
        drop(collector);
        asker.join().unwrap();
    });
}

#[test]
fn loom_a_request_is_not_passed_by() {
    a_request_is_not_passed_by::<Sound>();
}

/// Withdraws requests before the flag is up.
struct WithdrawsEarly;

impl Steps for WithdrawsEarly {
    fn begin<'c>(gate: &Gate, collector: &'c CollectorLock<'_>) -> Stopping<'c> {
        // Moved: behind the flag.
        Requests::of(gate).take();
        collector.raise()
    }
}

#[test]
fn loom_mutant_withdraws_early() {
    caught("GA6: passed by", a_request_is_not_passed_by::<WithdrawsEarly>);
}

/// A mutator that waits while another thread collects, because of a request, is woken when the
/// request is withdrawn (GA4).
fn a_withdrawn_request_is_waited_for_no_longer<S: Steps>() {
    check_bounded(3, || {
        let gate = Arc::new(Gate::default());
        Requests::of(&gate).request_gc();
        let collector = gate.claim();
        let waiter = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || drop(Requests::of(&gate).try_claim()))
        };
        // SAFETY: there are no mutators.
        let stopped = unsafe { collector.raise().wait(std::iter::empty()) };
        // Withdrawn here, as the request may be from after the flag went up.
        S::answer(&gate, || ());
        waiter.join().unwrap();
        drop(stopped);
        drop(collector);
    });
}

#[test]
fn loom_a_withdrawn_request_is_waited_for_no_longer() {
    a_withdrawn_request_is_waited_for_no_longer::<Sound>();
}

/// Withdraws requests without notifying waiters.
struct WithdrawsSilently;

impl Steps for WithdrawsSilently {
    fn answer(gate: &Gate, look: impl FnOnce()) {
        // Removed: self.wake().
        gate.word().fetch_and(!GC_REQUESTED, Ordering::Acquire);
        look();
    }
}

#[test]
fn loom_mutant_withdraws_silently() {
    caught(DEADLOCK, a_withdrawn_request_is_waited_for_no_longer::<WithdrawsSilently>);
}
