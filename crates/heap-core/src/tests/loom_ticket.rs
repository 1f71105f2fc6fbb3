//! Sweep tickets under the model checker, whole and with one part broken.
//!
//! A sweeper touches a witness of its own while it has a ticket. Whoever sees
//! that sweeping is over touches them all: loom reports a ticket that is still
//! out (W1, W2), and work that is not seen (W3).
//!
//! Who only looks is spawned last: loom runs it last at first, and goes back from
//! there to every earlier moment (see `docs/design/models.md`).
//!
//! A [`Steps`] is the counter as its callers use it. A mutant is a `Steps` in
//! which one step lacks one line.

use std::sync::Arc;

use heap_sync::atomic::Ordering;
use heap_sync::model::{UNORDERED, Witness, caught, check, check_bounded};
use heap_sync::thread::{JoinHandle, spawn, yield_now};

use super::{ActiveSweep, DRAINED, Ticket};

/// The steps of the protocol. What is not overridden is the real thing.
trait Steps: 'static {
    fn begin(active: &ActiveSweep) -> Option<Ticket<'_>> {
        active.begin()
    }

    fn close(ticket: &Ticket<'_>) {
        ticket.close();
    }

    fn give_back(ticket: Ticket<'_>) {
        drop(ticket);
    }

    fn is_over(active: &ActiveSweep) -> bool {
        active.is_over()
    }

    fn reopen(active: &ActiveSweep) {
        active.reopen();
    }
}

/// The protocol as it is.
struct Sound;

impl Steps for Sound {}

const SWEEPERS: usize = 3;

struct World<S> {
    active: ActiveSweep,
    /// What each sweeper does with its ticket.
    work: [Witness; SWEEPERS],
    /// Written between two cycles, read by sweepers.
    clock: Witness,
    steps: std::marker::PhantomData<fn() -> S>,
}

impl<S: Steps> World<S> {
    /// A heap with something to sweep.
    fn new() -> Arc<World<S>> {
        let active = ActiveSweep::closed();
        active.reopen();
        Arc::new(World {
            active,
            work: Default::default(),
            clock: Witness::default(),
            steps: std::marker::PhantomData,
        })
    }

    /// Works, with a ticket if one is to be had, and says that nothing is left.
    fn sweep(&self, me: usize) {
        if let Some(ticket) = S::begin(&self.active) {
            self.clock.look();
            self.work[me].touch();
            S::close(&ticket);
            S::give_back(ticket);
        }
    }

    /// If sweeping is over: everybody's work is seen, and no ticket given out.
    fn look(&self) -> bool {
        let over = S::is_over(&self.active);
        if over {
            self.work.iter().for_each(|work| {
                work.touch();
            });
            assert!(S::begin(&self.active).is_none(), "W2: a ticket after the end");
        }
        over
    }

    fn spawn(self: &Arc<Self>, run: impl FnOnce(&Self) + 'static) -> JoinHandle<()> {
        let world = Arc::clone(self);
        spawn(move || run(&world))
    }
}

/// Two sweepers, and somebody who asks whether they are done.
fn sweeping_is_not_over_while_a_ticket_is_out<S: Steps>() {
    check_bounded(4, || {
        let world = World::<S>::new();
        let threads = [
            world.spawn(|w| w.sweep(0)),
            world.spawn(|w| w.sweep(1)),
            world.spawn(|w| {
                w.look();
            }),
        ];
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(world.look(), "W3: all tickets are back and sweeping is not over");
    });
}

/// A sweeper that comes again and again.
fn no_ticket_is_given_out_after_the_end<S: Steps>() {
    check_bounded(2, || {
        let world = World::<S>::new();
        let threads = [
            world.spawn(|w| {
                w.sweep(0);
                w.sweep(0);
            }),
            world.spawn(|w| w.sweep(1)),
            world.spawn(|w| {
                w.look();
                w.sweep(2);
            }),
        ];
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(world.look(), "W3: all tickets are back and sweeping is not over");
    });
}

/// A sweeper that comes while one cycle ends and the next begins: with a ticket
/// of the new cycle it sees what was written in between.
fn a_ticket_shows_its_own_cycle<S: Steps>() {
    check(|| {
        let world = World::<S>::new();
        let sweeper = world.spawn(|w| w.sweep(0));
        world.sweep(1);
        while !S::is_over(&world.active) {
            yield_now();
        }
        world.clock.touch();
        S::reopen(&world.active);
        world.sweep(1);
        sweeper.join().unwrap();
        assert!(world.look(), "W3: all tickets are back and sweeping is not over");
    });
}

#[test]
fn loom_sweeping_is_not_over_while_a_ticket_is_out() {
    sweeping_is_not_over_while_a_ticket_is_out::<Sound>();
}

#[test]
fn loom_no_ticket_is_given_out_after_the_end() {
    no_ticket_is_given_out_after_the_end::<Sound>();
}

#[test]
fn loom_a_ticket_shows_its_own_cycle() {
    a_ticket_shows_its_own_cycle::<Sound>();
}

// ---- the mutants ----------------------------------------------------------------

/// Gives the ticket back without publishing the work.
struct GivesBackRelaxed;

impl Steps for GivesBackRelaxed {
    fn give_back(ticket: Ticket<'_>) {
        // Changed: Ordering::Release.
        ticket.0.0.fetch_sub(1, Ordering::Relaxed);
        std::mem::forget(ticket);
    }
}

#[test]
fn loom_mutant_gives_back_relaxed() {
    caught(UNORDERED, sweeping_is_not_over_while_a_ticket_is_out::<GivesBackRelaxed>);
}

/// Sees that sweeping is over, but not what was done.
struct LooksRelaxed;

impl Steps for LooksRelaxed {
    fn is_over(active: &ActiveSweep) -> bool {
        // Changed: Ordering::Acquire.
        active.0.load(Ordering::Relaxed) == DRAINED
    }
}

#[test]
fn loom_mutant_looks_relaxed() {
    caught(UNORDERED, sweeping_is_not_over_while_a_ticket_is_out::<LooksRelaxed>);
}

/// Takes "nothing left to sweep" for the end.
struct ForgetsTickets;

impl Steps for ForgetsTickets {
    fn is_over(active: &ActiveSweep) -> bool {
        // Removed: the count.
        active.0.load(Ordering::Acquire) & DRAINED != 0
    }
}

#[test]
fn loom_mutant_forgets_tickets() {
    caught(UNORDERED, sweeping_is_not_over_while_a_ticket_is_out::<ForgetsTickets>);
}

/// Takes a ticket after a look that may be out of date.
struct BeginsInTwoSteps;

impl Steps for BeginsInTwoSteps {
    fn begin(active: &ActiveSweep) -> Option<Ticket<'_>> {
        if active.0.load(Ordering::Relaxed) & DRAINED != 0 {
            return None;
        }
        // Removed: the check that the look still holds.
        active.0.fetch_add(1, Ordering::AcqRel);
        Some(Ticket(active))
    }
}

#[test]
fn loom_mutant_begins_in_two_steps() {
    caught(UNORDERED, sweeping_is_not_over_while_a_ticket_is_out::<BeginsInTwoSteps>);
}

/// Takes a ticket of the new cycle and does not see the cycle.
struct BeginsRelaxed;

impl Steps for BeginsRelaxed {
    fn begin(active: &ActiveSweep) -> Option<Ticket<'_>> {
        let mut state = active.0.load(Ordering::Relaxed);
        while state & DRAINED == 0 {
            // Changed: Ordering::AcqRel.
            match active.0.compare_exchange_weak(
                state,
                state + 1,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(Ticket(active)),
                Err(actual) => state = actual,
            }
        }
        None
    }
}

#[test]
fn loom_mutant_begins_relaxed() {
    caught(UNORDERED, a_ticket_shows_its_own_cycle::<BeginsRelaxed>);
}

/// Opens a cycle without publishing it.
struct ReopensRelaxed;

impl Steps for ReopensRelaxed {
    fn reopen(active: &ActiveSweep) {
        // Changed: Ordering::Release.
        active.0.store(0, Ordering::Relaxed);
    }
}

#[test]
fn loom_mutant_reopens_relaxed() {
    caught(UNORDERED, a_ticket_shows_its_own_cycle::<ReopensRelaxed>);
}

/// Closes by overwriting the tickets that are out.
struct ClosesByStoring;

impl Steps for ClosesByStoring {
    fn close(ticket: &Ticket<'_>) {
        // Changed: fetch_or, which keeps the count.
        ticket.0.0.store(DRAINED + 1, Ordering::Relaxed);
    }
}

#[test]
fn loom_mutant_closes_by_storing() {
    caught(
        "W3: all tickets are back",
        sweeping_is_not_over_while_a_ticket_is_out::<ClosesByStoring>,
    );
}

/// Never closes: the sweepers stop coming, and nobody learns that it is over.
struct NeverCloses;

impl Steps for NeverCloses {
    fn close(_: &Ticket<'_>) {
        // Removed: fetch_or(DRAINED).
    }
}

#[test]
fn loom_mutant_never_closes() {
    caught("W3: all tickets are back", sweeping_is_not_over_while_a_ticket_is_out::<NeverCloses>);
}
