//! The end of marking under the model checker, whole and with one part broken.
//!
//! Work is a chain or a tree of items. Each worker owns places for items; only
//! the owner puts items there, any worker takes them. Nothing but an item's own
//! hand-over orders the workers, so that a worker that is told `Over` can only
//! know what the others did from the protocol itself.
//!
//! A [`Steps`] is the protocol as a worker uses it. A mutant is a `Steps` in
//! which one line is missing or changed.

use std::sync::Arc;

use heap_sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use heap_sync::lock::Mutex;
use heap_sync::model::{UNORDERED, Witness, caught, check_bounded};
use heap_sync::thread::{spawn, yield_now};

use super::{Termination, Verdict};

/// Lets the others go on. An order in which two workers keep each other spinning
/// while a third is never run is legal and endless; it is not followed far.
fn relax(spins: u32) {
    if spins > 2 {
        loom::skip_branch();
    }
    yield_now();
}

/// The steps of the protocol. What is not overridden is the real thing.
trait Steps: 'static {
    fn idle(termination: &Termination, sighted: impl Fn() -> bool) -> Verdict {
        termination.idle(sighted, relax)
    }

    fn join(termination: &Termination) -> bool {
        termination.join()
    }

    /// Whether a worker empties its own places before it says it is idle.
    const EMPTIES_OWN: bool = true;

    /// Whether idle workers see that the slice has ended.
    const SEES_THE_END: bool = true;

    /// What a worker that leaves its work to the next slice does.
    fn leave(_: &Termination) {}
}

/// The protocol as it is.
struct Sound;

impl Steps for Sound {}

/// A place with nothing in it. Else it holds an item's number plus one.
const EMPTY: usize = 0;

struct World<S> {
    termination: Termination,
    places: Vec<Vec<AtomicUsize>>,
    /// For each item the items that doing it brings up.
    children: &'static [&'static [usize]],
    /// Touched by the worker that does the item.
    done: Vec<Witness>,
    /// Whether the slice has ended, and the items that were left then.
    ended: AtomicBool,
    left: Mutex<Vec<usize>>,
    steps: std::marker::PhantomData<fn() -> S>,
}

impl<S: Steps> World<S> {
    /// Workers with places on a graph of items; the first has item 0.
    fn new(workers: usize, places: usize, children: &'static [&'static [usize]]) -> Arc<World<S>> {
        let world = World {
            termination: Termination::new(),
            places: (0..workers)
                .map(|_| (0..places).map(|_| AtomicUsize::new(EMPTY)).collect())
                .collect(),
            children,
            done: children.iter().map(|_| Witness::default()).collect(),
            ended: AtomicBool::new(false),
            left: Mutex::default(),
            steps: std::marker::PhantomData,
        };
        world.put(0, 0);
        Arc::new(world)
    }

    fn put(&self, me: usize, item: usize) {
        let free = self.places[me].iter().find(|p| p.load(Ordering::Relaxed) == EMPTY);
        free.expect("no program needs more places").store(item + 1, Ordering::Release);
    }

    fn take(&self, whose: usize) -> Option<usize> {
        self.places[whose].iter().find_map(|place| {
            let item = place.load(Ordering::Relaxed);
            let taken = item != EMPTY
                && place
                    .compare_exchange(item, EMPTY, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok();
            taken.then(|| item - 1)
        })
    }

    fn sighted(&self) -> bool {
        self.places.iter().flatten().any(|place| place.load(Ordering::Relaxed) != EMPTY)
    }

    fn work(&self, me: usize) {
        if me != 0 && !S::join(&self.termination) {
            // Too late. The first worker is told, and looks.
            return;
        }
        let others = (1..self.places.len()).map(|offset| (me + offset) % self.places.len());
        loop {
            let item = self.take(me).or_else(|| others.clone().find_map(|other| self.take(other)));
            if let Some(item) = item {
                self.done[item].touch();
                self.children[item].iter().for_each(|child| self.put(me, *child));
                if S::EMPTIES_OWN {
                    continue;
                }
            }
            if S::idle(&self.termination, || self.sighted()) == Verdict::Over {
                break;
            }
        }
        for (item, done) in self.done.iter().enumerate() {
            assert_eq!(done.look(), 1, "item {item} is not done once");
        }
    }

    /// Works until it is over, or until the slice ends, which it does when a worker has done an
    /// item.
    fn work_in_a_slice(&self, me: usize) {
        if me != 0 && !S::join(&self.termination) {
            return;
        }
        let other = 1 - me;
        loop {
            if let Some(item) = self.take(me).or_else(|| self.take(other)) {
                self.done[item].touch();
                self.children[item].iter().for_each(|child| self.put(me, *child));
                self.ended.store(true, Ordering::Relaxed);
            }
            if self.ended.load(Ordering::Relaxed) {
                S::leave(&self.termination);
                self.left.lock().extend(std::iter::from_fn(|| self.take(me)));
                return;
            }
            let ended = || S::SEES_THE_END && self.ended.load(Ordering::Relaxed);
            if S::idle(&self.termination, || self.sighted() || ended()) == Verdict::Over {
                let all_done = self.done.iter().all(|done| done.look() == 1);
                assert!(all_done, "marking is taken for finished");
                return;
            }
        }
    }

    /// All workers work until it is over; each sees all work done, and returns.
    fn run(self: Arc<Self>) {
        let mark_threads: Vec<_> = (1..self.places.len())
            .map(|me| {
                let world = Arc::clone(&self);
                spawn(move || world.work(me))
            })
            .collect();
        self.work(0);
        mark_threads.into_iter().for_each(|helper| helper.join().unwrap());
    }
}

/// Two workers on a chain: each item brings up the next.
fn marking_ends_only_when_all_work_is_done<S: Steps>() {
    check_bounded(5, || World::<S>::new(2, 1, &[&[1], &[2], &[]]).run());
}

/// Two workers on a fork: there is work for both.
fn work_that_forks_is_not_lost<S: Steps>() {
    check_bounded(4, || World::<S>::new(2, 2, &[&[1, 2], &[], &[]]).run());
}

/// Three workers, of which one at least finds nothing to do.
fn idle_workers_are_told<S: Steps>() {
    check_bounded(2, || World::<S>::new(3, 1, &[&[1], &[]]).run());
}

/// A worker that comes at any moment either takes part, and the first one is told
/// only when it has ceased to, or is told that it is too late.
fn late_workers_are_waited_for_or_told<S: Steps>() {
    check_bounded(4, || {
        let termination = Arc::new(Termination::new());
        let over = Arc::new(AtomicBool::new(false));
        let late = {
            let (termination, over) = (Arc::clone(&termination), Arc::clone(&over));
            spawn(move || {
                if S::join(&termination) {
                    assert!(!over.load(Ordering::Acquire), "joined after it was over");
                    assert_eq!(S::idle(&termination, || false), Verdict::Over);
                }
            })
        };
        assert_eq!(S::idle(&termination, || false), Verdict::Over);
        over.store(true, Ordering::Release);
        late.join().unwrap();
    });
}

/// Two workers on a fork, for the length of a slice: each returns, none takes marking for finished,
/// and what was not done is left.
fn a_slice_leaves_what_it_does_not_do<S: Steps>() {
    check_bounded(4, || {
        let world = World::<S>::new(2, 2, &[&[1, 2], &[], &[]]);
        let helper = {
            let world = Arc::clone(&world);
            spawn(move || world.work_in_a_slice(1))
        };
        world.work_in_a_slice(0);
        helper.join().unwrap();
        let left = world.left.lock();
        for (item, done) in world.done.iter().enumerate() {
            let times = done.look() as usize + left.iter().filter(|left| **left == item).count();
            assert_eq!(times, 1, "item {item} is neither done nor left");
        }
    });
}

#[test]
fn loom_a_slice_leaves_what_it_does_not_do() {
    a_slice_leaves_what_it_does_not_do::<Sound>();
}

#[test]
fn loom_late_workers_are_waited_for_or_told() {
    late_workers_are_waited_for_or_told::<Sound>();
}

#[test]
fn loom_marking_ends_only_when_all_work_is_done() {
    marking_ends_only_when_all_work_is_done::<Sound>();
}

#[test]
fn loom_work_that_forks_is_not_lost() {
    work_that_forks_is_not_lost::<Sound>();
}

#[test]
fn loom_idle_workers_are_told() {
    idle_workers_are_told::<Sound>();
}

// ---- the mutants ----------------------------------------------------------------

/// Goes back to work and still counts as idle.
struct WorksWhileIdle;

impl Steps for WorksWhileIdle {
    fn idle(termination: &Termination, sighted: impl Fn() -> bool) -> Verdict {
        // Idle already, it stops being so only once.
        if termination.active.load(Ordering::Acquire) == 0
            || termination.active.fetch_sub(1, Ordering::AcqRel) == 1
        {
            return Verdict::Over;
        }
        loop {
            if termination.active.load(Ordering::Acquire) == 0 {
                return Verdict::Over;
            }
            // Removed: && termination.join()
            if sighted() {
                return Verdict::Retry;
            }
            relax(0);
        }
    }
}

#[test]
fn loom_mutant_works_while_idle() {
    caught(UNORDERED, marking_ends_only_when_all_work_is_done::<WorksWhileIdle>);
}

/// Says it is idle while its own place may hold an item.
struct IdlesWithWork;

impl Steps for IdlesWithWork {
    const EMPTIES_OWN: bool = false;
}

#[test]
fn loom_mutant_idles_with_work() {
    caught("is not done once", marking_ends_only_when_all_work_is_done::<IdlesWithWork>);
}

/// Does not publish its work to the last one to become idle.
struct IdlesRelaxed;

impl Steps for IdlesRelaxed {
    fn idle(termination: &Termination, sighted: impl Fn() -> bool) -> Verdict {
        // Changed: Ordering::AcqRel.
        if termination.active.fetch_sub(1, Ordering::Relaxed) == 1 {
            return Verdict::Over;
        }
        wait(termination, Ordering::Acquire, sighted)
    }
}

/// The second half of [`Termination::idle`].
fn wait(termination: &Termination, look: Ordering, sighted: impl Fn() -> bool) -> Verdict {
    loop {
        if termination.active.load(look) == 0 {
            return Verdict::Over;
        }
        if sighted() && termination.join() {
            return Verdict::Retry;
        }
        relax(0);
    }
}

#[test]
fn loom_mutant_idles_relaxed() {
    caught(UNORDERED, marking_ends_only_when_all_work_is_done::<IdlesRelaxed>);
}

/// Sees that all are idle, but not what they did.
struct LooksRelaxed;

impl Steps for LooksRelaxed {
    fn idle(termination: &Termination, sighted: impl Fn() -> bool) -> Verdict {
        if termination.active.fetch_sub(1, Ordering::AcqRel) == 1 {
            return Verdict::Over;
        }
        // Changed: Ordering::Acquire.
        wait(termination, Ordering::Relaxed, sighted)
    }
}

#[test]
fn loom_mutant_looks_relaxed() {
    caught(UNORDERED, marking_ends_only_when_all_work_is_done::<LooksRelaxed>);
}

/// Only the last to become idle learns that it is over.
struct TellsTheLastOnly;

impl Steps for TellsTheLastOnly {
    fn idle(termination: &Termination, sighted: impl Fn() -> bool) -> Verdict {
        if termination.active.fetch_sub(1, Ordering::AcqRel) == 1 {
            return Verdict::Over;
        }
        loop {
            // Removed: the look at the count of active workers.
            if sighted() && termination.join() {
                return Verdict::Retry;
            }
            relax(0);
        }
    }
}

#[test]
fn loom_mutant_tells_the_last_only() {
    caught("exceeded maximum number of branches", idle_workers_are_told::<TellsTheLastOnly>);
}

/// Joins a mark phase that may be over.
struct JoinsBlindly;

impl Steps for JoinsBlindly {
    fn join(termination: &Termination) -> bool {
        // Changed: the exchange that fails at zero.
        termination.active.fetch_add(1, Ordering::AcqRel);
        true
    }
}

#[test]
fn loom_mutant_joins_blindly() {
    caught("after it was over", late_workers_are_waited_for_or_told::<JoinsBlindly>);
}

/// Waits, idle, for a worker that has left.
struct WaitsForTheLeft;

impl Steps for WaitsForTheLeft {
    const SEES_THE_END: bool = false;
}

#[test]
fn loom_mutant_waits_for_the_left() {
    let endless = "exceeded maximum number of branches";
    caught(endless, a_slice_leaves_what_it_does_not_do::<WaitsForTheLeft>);
}

/// Counts as idle when it leaves.
struct LeavesIdle;

impl Steps for LeavesIdle {
    fn leave(termination: &Termination) {
        // Added.
        termination.active.fetch_sub(1, Ordering::AcqRel);
    }
}

#[test]
fn loom_mutant_leaves_idle() {
    caught("is taken for finished", a_slice_leaves_what_it_does_not_do::<LeavesIdle>);
}
