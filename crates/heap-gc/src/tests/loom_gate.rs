//! The safepoint gate under the model checker, whole and with one part broken.
//!
//! What mutators and the collector share is a cell per mutator. The mutator
//! touches its cell while it is inside, the collector touches all cells while the
//! world is stopped. Loom reports two accesses that are not ordered, so one cell
//! shows both that no mutator is inside (GA1, GA2) and that writes are seen (GA3). A waiter that no
//! thread wakes is reported as a deadlock (GA4).
//!
//! A [`Steps`] is the gate as its callers use it. A mutant is a `Steps` in which
//! one step lacks one line.

use std::sync::Arc;

use heap_sync::atomic::{Ordering, fence};
use heap_sync::lock::Mutex;
use heap_sync::model::{UNORDERED, Witness, caught, check, check_bounded};
use loom::thread;

use super::{CollectorLock, Gate, MutatorState, PARKED, RUNNING, STOP, Stopping, WorldStopped};
use crate::requests::{Request, Requests};

/// What loom says when all threads wait.
const DEADLOCK: &str = "deadlock; threads";

/// The steps of the protocol. What is not overridden is the real thing.
trait Steps: 'static {
    fn enter(gate: &Gate, me: &MutatorState) {
        gate.enter(me);
    }

    fn leave(gate: &Gate, me: &MutatorState) {
        gate.leave(me);
    }

    fn block_for_stop(gate: &Gate, me: &MutatorState) {
        gate.block_for_stop(me, || ());
    }

    fn abandon(gate: &Gate, me: &MutatorState) {
        me.abandon(gate);
    }

    fn claim(gate: &Gate) -> CollectorLock<'_> {
        gate.claim()
    }

    fn give_back(collector: CollectorLock<'_>) {
        drop(collector);
    }

    fn raise<'c>(collector: &'c CollectorLock<'_>) -> Stopping<'c> {
        collector.raise()
    }

    fn wait<'c>(stopping: Stopping<'c>, members: &[Arc<Member>]) -> Option<WorldStopped<'c>> {
        // SAFETY: the model lists them when the flag is up, or is a mutant that is caught.
        unsafe { stopping.wait(members.iter().map(|member| &member.state)) }
    }

    fn resume(world: WorldStopped<'_>) {
        drop(world);
    }

    fn claim_before_stop(gate: &Gate) -> Option<CollectorLock<'_>> {
        Requests::of(gate).claim_before_stop()
    }

    /// Whether mutators are listed after the flag was raised.
    const LISTS_LATE: bool = true;
}

/// The protocol as it is.
struct Sound;

impl Steps for Sound {}

/// A mutator as the others see it.
struct Member {
    state: MutatorState,
    /// Touched by the mutator inside, or by the collector with the world stopped.
    cell: Witness,
}

impl Member {
    fn new() -> Arc<Member> {
        Arc::new(Member { state: MutatorState::default(), cell: Witness::default() })
    }
}

struct World<S> {
    gate: Gate,
    members: Mutex<Vec<Arc<Member>>>,
    /// Touched by the holder of the collector lock.
    collector: Witness,
    /// How often the flag was raised. Outside the model: it orders nothing.
    stops: std::sync::atomic::AtomicUsize,
    /// Whether the flag is up for certain, and whether it was lowered since. Likewise.
    raised: std::sync::atomic::AtomicBool,
    resumed: std::sync::atomic::AtomicBool,
    steps: std::marker::PhantomData<fn() -> S>,
}

impl<S: Steps> World<S> {
    /// A heap with this many mutators, all outside.
    fn new(members: usize) -> Arc<World<S>> {
        Arc::new(World {
            gate: Gate::default(),
            members: Mutex::new((0..members).map(|_| Member::new()).collect()),
            collector: Witness::default(),
            stops: std::sync::atomic::AtomicUsize::new(0),
            raised: std::sync::atomic::AtomicBool::new(false),
            resumed: std::sync::atomic::AtomicBool::new(false),
            steps: std::marker::PhantomData,
        })
    }

    fn member(&self, index: usize) -> Arc<Member> {
        Arc::clone(&self.members.lock()[index])
    }

    /// Inside, touching its cell, `times` times.
    fn visit(&self, me: &Member, times: u32) {
        for _ in 0..times {
            S::enter(&self.gate, &me.state);
            me.cell.touch();
            S::leave(&self.gate, &me.state);
        }
    }

    /// A safepoint, as mutators have it.
    fn safepoint(&self, me: &Member) {
        match Requests::of(&self.gate).get() {
            Request::None => {}
            Request::Block => {
                S::block_for_stop(&self.gate, &me.state);
            }
            Request::Step | Request::Gc => unreachable!("no model asks for a collection"),
        }
    }

    fn list(&self) -> Vec<Arc<Member>> {
        self.members.lock().clone()
    }

    /// A collection. Whether the world could be stopped.
    fn collect(&self) -> bool {
        let collector = S::claim(&self.gate);
        self.collector.touch();
        let early = if S::LISTS_LATE { Vec::new() } else { self.list() };
        let stopped = {
            let stopping = S::raise(&collector);
            self.stops.fetch_add(1, Ordering::Relaxed);
            self.raised.store(true, Ordering::Relaxed);
            let members = if S::LISTS_LATE { self.list() } else { early };
            match S::wait(stopping, &members) {
                Some(world) => {
                    // Those that attached since, too: they must be outside.
                    for member in self.list() {
                        member.cell.touch();
                    }
                    self.resumed.store(true, Ordering::Relaxed);
                    S::resume(world);
                    true
                }
                None => false,
            }
        };
        S::give_back(collector);
        stopped
    }

    fn spawn<R: 'static>(
        self: &Arc<Self>,
        run: impl FnOnce(&Self) -> R + 'static,
    ) -> thread::JoinHandle<R> {
        let world = Arc::clone(self);
        thread::spawn(move || run(&world))
    }

    /// Runs two threads; loom begins with the one or with the other.
    fn race(
        self: &Arc<Self>,
        begin: Begin,
        mutator: impl FnOnce(&Self) + 'static,
        collector: impl FnOnce(&Self) + 'static,
    ) {
        let threads = match begin {
            Begin::Mutator => [self.spawn(mutator), self.spawn(collector)],
            Begin::CollectorLock => {
                let collector = self.spawn(collector);
                [self.spawn(mutator), collector]
            }
        };
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

/// Which thread runs first in the first order that loom tries. Loom finds the
/// other orders from there, but not all of them from either (see
/// `docs/design/models.md`).
#[derive(Clone, Copy)]
enum Begin {
    Mutator,
    CollectorLock,
}

const BEGINNINGS: [Begin; 2] = [Begin::Mutator, Begin::CollectorLock];

// ---- the properties -----------------------------------------------------------

/// One mutator that goes in and out, one collector.
fn nobody_is_inside_while_the_world_is_stopped<S: Steps>() {
    for begin in BEGINNINGS {
        check_bounded(4, move || {
            let world = World::<S>::new(1);
            world.race(begin, |w| w.visit(&w.member(0), 2), |w| assert!(w.collect()));
            world.visit(&world.member(0), 1);
        });
    }
}

/// Two mutators, of which one is inside when the collector comes.
fn a_collector_waits_for_every_mutator<S: Steps>() {
    check_bounded(3, || {
        let world = World::<S>::new(2);
        let (a, b) = (world.member(0), world.member(1));
        S::enter(&world.gate, &a.state);
        let one = world.spawn(move |w| {
            a.cell.touch();
            S::leave(&w.gate, &a.state);
        });
        let two = world.spawn(move |w| w.visit(&b, 1));
        assert!(world.collect());
        one.join().unwrap();
        two.join().unwrap();
    });
}

/// A mutator that comes to safepoints while a collector works twice.
fn a_mutator_at_a_safepoint_steps_aside_and_comes_back<S: Steps>() {
    for begin in BEGINNINGS {
        check_bounded(3, move || {
            let world = World::<S>::new(1);
            let me = world.member(0);
            S::enter(&world.gate, &me.state);
            world.race(
                begin,
                move |w| {
                    me.cell.touch();
                    w.safepoint(&me);
                    me.cell.touch();
                    S::leave(&w.gate, &me.state);
                },
                |w| {
                    assert!(w.collect());
                    assert!(w.collect());
                },
            );
        });
    }
}

/// A mutator that finds the flag up is blocked for that stop, and is inside before
/// the next one, however soon the collector comes again (GA5).
fn a_mutator_sits_out_one_stop<S: Steps>() {
    for begin in BEGINNINGS {
        check_bounded(3, move || {
            let world = World::<S>::new(1);
            let me = world.member(0);
            S::enter(&world.gate, &me.state);
            world.race(
                begin,
                move |w| {
                    let before = w.stops.load(Ordering::Relaxed);
                    w.safepoint(&me);
                    // It may have been on its way up when we looked first.
                    let sat_out = w.stops.load(Ordering::Relaxed) - before;
                    assert!(sat_out <= 1, "GA5: a mutator sits out {sat_out} stops");
                    me.cell.touch();
                    S::leave(&w.gate, &me.state);
                },
                |w| (0..3).for_each(|_| assert!(w.collect())),
            );
        });
    }
}

/// A collector waits for each mutator once: a mutator that is outside when the flag is up does not
/// come inside, however often it tries (GA5).
fn a_collector_is_not_overtaken<S: Steps>() {
    check_bounded(3, || {
        let world = World::<S>::new(1);
        let mutator = world.spawn(|w| {
            let me = w.member(0);
            for _ in 0..3 {
                let raised = w.raised.load(Ordering::Relaxed);
                S::enter(&w.gate, &me.state);
                let resumed = w.resumed.load(Ordering::Relaxed);
                assert!(!raised || resumed, "GA5: a mutator overtakes a collector");
                S::leave(&w.gate, &me.state);
            }
        });
        assert!(world.collect());
        mutator.join().unwrap();
    });
}

/// A mutator attaches, works and detaches while a collector stops the world.
fn attaching_and_detaching_meet_a_stop<S: Steps>() {
    for begin in BEGINNINGS {
        check(move || {
            let attach = |w: &World<S>| {
                let me = Member::new();
                w.members.lock().push(Arc::clone(&me));
                w.visit(&me, 1);
                w.members.lock().retain(|member| !Arc::ptr_eq(member, &me));
            };
            World::<S>::new(0).race(begin, attach, |w| assert!(w.collect()));
        });
    }
}

/// Two mutators that collect, each outside while it does.
fn two_collectors_exclude_each_other<S: Steps>() {
    check_bounded(3, || {
        let world = World::<S>::new(2);
        let other = world.spawn(|w| {
            let me = w.member(1);
            w.visit(&me, 1);
            assert!(w.collect());
        });
        assert!(world.collect());
        world.visit(&world.member(0), 1);
        other.join().unwrap();
    });
}

/// A mutator's thread ends inside while a collector waits and another mutator is blocked: stopping
/// fails, and all others go on.
fn an_abandoned_mutator_blocks_nobody<S: Steps>() {
    check_bounded(3, || {
        let world = World::<S>::new(2);
        let (lost, other) = (world.member(0), world.member(1));
        S::enter(&world.gate, &lost.state);
        let leaker = world.spawn(move |w| S::abandon(&w.gate, &lost.state));
        let mutator = world.spawn(move |w| w.visit(&other, 1));
        assert!(!world.collect(), "the abandoned mutator may still hold handles");
        leaker.join().unwrap();
        mutator.join().unwrap();
    });
}

/// A mutator whose thread will not tell when it ends is no obstacle while it is outside; if it
/// comes inside it keeps the world from being stopped, or is blocked like any other.
fn a_mutator_that_will_not_tell_is_an_obstacle_inside_only<S: Steps>() {
    check_bounded(3, || {
        let world = World::<S>::new(1);
        let me = world.member(0);
        S::abandon(&world.gate, &me.state);
        assert!(world.collect(), "it is outside");
        let mutator = world.spawn(move |w| w.visit(&me, 1));
        let _ = world.collect();
        mutator.join().unwrap();
    });
}

#[test]
fn loom_nobody_is_inside_while_the_world_is_stopped() {
    nobody_is_inside_while_the_world_is_stopped::<Sound>();
}

#[test]
fn loom_a_collector_waits_for_every_mutator() {
    a_collector_waits_for_every_mutator::<Sound>();
}

#[test]
fn loom_a_mutator_at_a_safepoint_steps_aside_and_comes_back() {
    a_mutator_at_a_safepoint_steps_aside_and_comes_back::<Sound>();
}

#[test]
fn loom_a_mutator_sits_out_one_stop() {
    a_mutator_sits_out_one_stop::<Sound>();
}

#[test]
fn loom_a_collector_is_not_overtaken() {
    a_collector_is_not_overtaken::<Sound>();
}

#[test]
fn loom_attaching_and_detaching_meet_a_stop() {
    attaching_and_detaching_meet_a_stop::<Sound>();
}

#[test]
fn loom_two_collectors_exclude_each_other() {
    two_collectors_exclude_each_other::<Sound>();
}

#[test]
fn loom_a_mutator_that_will_not_tell_is_an_obstacle_inside_only() {
    a_mutator_that_will_not_tell_is_an_obstacle_inside_only::<Sound>();
}

#[test]
fn loom_an_abandoned_mutator_blocks_nobody() {
    an_abandoned_mutator_blocks_nobody::<Sound>();
}

// ---- the mutants ----------------------------------------------------------------

/// Looks at the flag without a fence after writing its presence.
struct EntersUnfenced;

impl Steps for EntersUnfenced {
    fn enter(gate: &Gate, me: &MutatorState) {
        me.word.store(RUNNING, Ordering::Relaxed);
        // Removed: fence(Ordering::SeqCst);
        if gate.poll.load(Ordering::Acquire) & STOP != 0 {
            gate.block_for_stop(me, || ());
        }
    }
}

#[test]
fn loom_mutant_enters_unfenced() {
    caught(UNORDERED, nobody_is_inside_while_the_world_is_stopped::<EntersUnfenced>);
}

/// Looks at the presences without a fence after raising the flag.
struct RaisesUnfenced;

impl Steps for RaisesUnfenced {
    fn raise<'c>(collector: &'c CollectorLock<'_>) -> Stopping<'c> {
        collector.gate.poll.fetch_or(STOP, Ordering::Relaxed);
        // Removed: fence(Ordering::SeqCst);
        Stopping { stopped: WorldStopped { gate: collector.gate } }
    }
}

#[test]
fn loom_mutant_raises_unfenced() {
    caught(UNORDERED, nobody_is_inside_while_the_world_is_stopped::<RaisesUnfenced>);
}

/// Does not see what the collector wrote.
struct EntersRelaxed;

impl Steps for EntersRelaxed {
    fn enter(gate: &Gate, me: &MutatorState) {
        me.word.store(RUNNING, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // Changed: Ordering::Acquire.
        if gate.poll.load(Ordering::Relaxed) & STOP != 0 {
            gate.block_for_stop(me, || ());
        }
    }
}

#[test]
fn loom_mutant_enters_relaxed() {
    caught(UNORDERED, nobody_is_inside_while_the_world_is_stopped::<EntersRelaxed>);
}

/// Does not publish what the mutator wrote.
struct LeavesRelaxed;

impl Steps for LeavesRelaxed {
    fn leave(gate: &Gate, me: &MutatorState) {
        // Changed: Ordering::Release.
        me.word.store(PARKED, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if gate.poll.load(Ordering::Relaxed) & STOP != 0 {
            gate.wake();
        }
    }
}

#[test]
fn loom_mutant_leaves_relaxed() {
    caught(UNORDERED, nobody_is_inside_while_the_world_is_stopped::<LeavesRelaxed>);
}

/// Looks at the flag without a fence after leaving.
struct LeavesUnfenced;

impl Steps for LeavesUnfenced {
    fn leave(gate: &Gate, me: &MutatorState) {
        me.word.store(PARKED, Ordering::Release);
        // Removed: fence(Ordering::SeqCst);
        if gate.poll.load(Ordering::Relaxed) & STOP != 0 {
            gate.wake();
        }
    }
}

#[test]
fn loom_mutant_leaves_unfenced() {
    caught(DEADLOCK, nobody_is_inside_while_the_world_is_stopped::<LeavesUnfenced>);
}

/// Leaves without notifying a waiting collector.
struct LeavesSilently;

impl Steps for LeavesSilently {
    fn leave(_: &Gate, me: &MutatorState) {
        me.word.store(PARKED, Ordering::Release);
        fence(Ordering::SeqCst);
        // Removed: gate.wake() while the flag is up.
    }
}

#[test]
fn loom_mutant_leaves_silently() {
    caught(DEADLOCK, a_collector_waits_for_every_mutator::<LeavesSilently>);
}

/// Notifies without the lock, between a collector's look and its wait.
struct WakesUnlocked;

impl Steps for WakesUnlocked {
    fn leave(gate: &Gate, me: &MutatorState) {
        me.word.store(PARKED, Ordering::Release);
        fence(Ordering::SeqCst);
        if gate.poll.load(Ordering::Relaxed) & STOP != 0 {
            // Removed: let _queue = gate.queue.lock();
            gate.changed.notify_all();
        }
    }
}

#[test]
fn loom_mutant_wakes_unlocked() {
    caught(DEADLOCK, a_collector_waits_for_every_mutator::<WakesUnlocked>);
}

/// Steps outside, to be blocked, without notifying the waiting collector.
struct StepsAsideSilently;

impl Steps for StepsAsideSilently {
    fn block_for_stop(gate: &Gate, me: &MutatorState) {
        let mut queue = gate.queue.lock();
        queue.blocked += 1;
        me.word.store(PARKED, Ordering::Release);
        // Removed: gate.notify(&queue);
        while gate.poll.load(Ordering::Relaxed) & STOP != 0 {
            queue = gate.sleep(queue);
        }
        me.word.store(RUNNING, Ordering::Relaxed);
        gate.unblock(&mut queue);
    }
}

#[test]
fn loom_mutant_steps_aside_silently() {
    caught(DEADLOCK, a_mutator_at_a_safepoint_steps_aside_and_comes_back::<StepsAsideSilently>);
}

/// Sleeps without being counted, so that no thread knows that there is one to wake.
struct SleepsUncounted;

impl Steps for SleepsUncounted {
    fn block_for_stop(gate: &Gate, me: &MutatorState) {
        gate.enqueue_blocked(me);
        let mut queue = gate.queue.lock();
        while gate.poll.load(Ordering::Relaxed) & STOP != 0 {
            // Changed: gate.sleep(queue).
            queue = gate.changed.wait(queue);
        }
        me.word.store(RUNNING, Ordering::Relaxed);
        gate.unblock(&mut queue);
    }
}

#[test]
fn loom_mutant_sleeps_uncounted() {
    caught(DEADLOCK, a_mutator_at_a_safepoint_steps_aside_and_comes_back::<SleepsUncounted>);
}

/// Does not publish what the collector wrote.
struct ResumesRelaxed;

impl Steps for ResumesRelaxed {
    fn resume(world: WorldStopped<'_>) {
        let gate = world.gate;
        std::mem::forget(world);
        let queue = gate.queue.lock();
        // Changed: Ordering::Release.
        gate.poll.fetch_and(!STOP, Ordering::Relaxed);
        gate.notify(&queue);
    }
}

#[test]
fn loom_mutant_resumes_relaxed() {
    caught(UNORDERED, nobody_is_inside_while_the_world_is_stopped::<ResumesRelaxed>);
}

/// Resumes the world and does not tell it.
struct ResumesSilently;

impl Steps for ResumesSilently {
    fn resume(world: WorldStopped<'_>) {
        let gate = world.gate;
        std::mem::forget(world);
        let _queue = gate.queue.lock();
        gate.poll.fetch_and(!STOP, Ordering::Release);
        // Removed: gate.notify(&queue);
    }

    fn give_back(collector: CollectorLock<'_>) {
        // Its notification would make up for the missing one.
        collector.gate.queue.lock().held = false;
        std::mem::forget(collector);
    }
}

#[test]
fn loom_mutant_resumes_silently() {
    caught(DEADLOCK, nobody_is_inside_while_the_world_is_stopped::<ResumesSilently>);
}

/// Lists the mutators before raising the flag.
struct ListsEarly;

impl Steps for ListsEarly {
    const LISTS_LATE: bool = false;
}

#[test]
fn loom_mutant_lists_early() {
    caught(UNORDERED, attaching_and_detaching_meet_a_stop::<ListsEarly>);
}

/// Takes the collector lock without looking whether another thread has it.
struct ClaimsBlindly;

impl Steps for ClaimsBlindly {
    fn claim(gate: &Gate) -> CollectorLock<'_> {
        // Removed: while queue.held { wait }
        gate.queue.lock().held = true;
        CollectorLock { gate }
    }
}

#[test]
fn loom_mutant_claims_blindly() {
    caught(UNORDERED, two_collectors_exclude_each_other::<ClaimsBlindly>);
}

/// Releases the collector lock without notifying the threads that wait for it.
struct GivesBackSilently;

impl Steps for GivesBackSilently {
    fn give_back(collector: CollectorLock<'_>) {
        collector.gate.queue.lock().held = false;
        // Removed: self.gate.notify(&queue);
        std::mem::forget(collector);
    }
}

#[test]
fn loom_mutant_gives_back_silently() {
    caught(DEADLOCK, two_collectors_exclude_each_other::<GivesBackSilently>);
    caught(DEADLOCK, who_waits_for_a_stop_is_let_go_without_one::<GivesBackSilently>);
}

/// Ends inside without telling the collector that waits.
struct AbandonsSilently;

impl Steps for AbandonsSilently {
    fn abandon(_: &Gate, me: &MutatorState) {
        me.abandoned.store(true, Ordering::Release);
        // Removed: gate.wake();
    }
}

/// Is not stopped by a mutator that will not tell, wherever it is.
struct IgnoresTheAbandoned;

impl Steps for IgnoresTheAbandoned {
    fn wait<'c>(stopping: Stopping<'c>, members: &[Arc<Member>]) -> Option<WorldStopped<'c>> {
        let told = members.iter().map(|member| &member.state);
        // Changed: those that will not tell are not waited for.
        let told = told.filter(|p| !p.abandoned.load(Ordering::Acquire));
        // SAFETY: the mutators of the model, but for the change; the model shows what it is worth.
        unsafe { stopping.wait(told) }
    }
}

#[test]
fn loom_mutant_ignores_the_abandoned() {
    caught(
        UNORDERED,
        a_mutator_that_will_not_tell_is_an_obstacle_inside_only::<IgnoresTheAbandoned>,
    );
}

#[test]
fn loom_mutant_abandons_silently() {
    caught(DEADLOCK, an_abandoned_mutator_blocks_nobody::<AbandonsSilently>);
}

/// Takes the collector lock before blocked mutators are inside.
struct ClaimsAheadOfThoseAside;

impl Steps for ClaimsAheadOfThoseAside {
    fn claim(gate: &Gate) -> CollectorLock<'_> {
        let mut queue = gate.queue.lock();
        // Removed: the look at queue.blocked.
        while queue.held {
            queue = gate.sleep(queue);
        }
        queue.held = true;
        CollectorLock { gate }
    }
}

#[test]
fn loom_mutant_claims_ahead_of_those_aside() {
    caught("GA5: a mutator sits out", a_mutator_sits_out_one_stop::<ClaimsAheadOfThoseAside>);
}

/// Steps outside before it is counted as blocked: the collector may be done, and come again.
struct LinesUpLate;

impl Steps for LinesUpLate {
    fn block_for_stop(gate: &Gate, me: &MutatorState) {
        // Moved: under the lock, after it is counted.
        me.word.store(PARKED, Ordering::Release);
        gate.wake();
        gate.block_for_stop(me, || ());
    }
}

#[test]
fn loom_mutant_lines_up_late() {
    caught("GA5: a mutator sits out", a_mutator_sits_out_one_stop::<LinesUpLate>);
}

/// Is inside again without telling the collector that waits for it to be.
struct ComesBackSilently;

impl Steps for ComesBackSilently {
    fn block_for_stop(gate: &Gate, me: &MutatorState) {
        gate.enqueue_blocked(me);
        let mut queue = gate.queue.lock();
        while gate.poll.load(Ordering::Relaxed) & STOP != 0 {
            queue = gate.sleep(queue);
        }
        me.word.store(RUNNING, Ordering::Relaxed);
        queue.blocked -= 1;
        // Removed: gate.notify(&queue).
    }
}

#[test]
fn loom_mutant_comes_back_silently() {
    caught(DEADLOCK, a_mutator_sits_out_one_stop::<ComesBackSilently>);
}

/// Goes inside in spite of the flag.
struct Overtakes;

impl Steps for Overtakes {
    fn enter(_: &Gate, me: &MutatorState) {
        me.word.store(RUNNING, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // Removed: the look at the flag.
    }
}

#[test]
fn loom_mutant_overtakes() {
    caught("GA5: a mutator overtakes", a_collector_is_not_overtaken::<Overtakes>);
}

// ---- waiting for a stop ---------------------------------------------------------

/// Near a limit a mutator that finds another thread collecting does not go on before the world is
/// to stop, and then does: here, the collector waits for that with the world stopped.
fn who_waits_for_a_stop_is_let_go_by_it<S: Steps>() {
    check_bounded(3, || {
        let world = World::<S>::new(0);
        let collector = S::claim(&world.gate);
        let waiter = world.spawn(|w| {
            assert!(S::claim_before_stop(&w.gate).is_none(), "GA2: somebody has the collector");
            assert_eq!(Requests::of(&w.gate).get(), Request::Block, "goes on before the stop");
        });
        let stopped = S::wait(S::raise(&collector), &[]).expect("nobody is abandoned");
        waiter.join().unwrap();
        S::resume(stopped);
        S::give_back(collector);
    });
}

/// A mutator waits for the stop of a collector that releases the collector lock without one: it
/// gets the lock.
fn who_waits_for_a_stop_is_let_go_without_one<S: Steps>() {
    check_bounded(3, || {
        let world = World::<S>::new(0);
        let collector = S::claim(&world.gate);
        let waiter = world.spawn(|w| S::claim_before_stop(&w.gate).is_some());
        S::give_back(collector);
        assert!(waiter.join().unwrap());
    });
}

/// A mutator that sleeps when the world is told to stop goes on, even if it wakes up when the stop
/// is over and the same collector still has the collector lock.
fn who_slept_through_a_stop_is_let_go<S: Steps>() {
    check_bounded(3, || {
        let world = World::<S>::new(0);
        let collector = S::claim(&world.gate);
        let waiter = world.spawn(|w| drop(S::claim_before_stop(&w.gate)));
        let asleep = world.gate.queue.lock().asleep == 1;
        S::resume(S::wait(S::raise(&collector), &[]).expect("nobody is abandoned"));
        if asleep {
            waiter.join().unwrap();
            S::give_back(collector);
        } else {
            S::give_back(collector);
            waiter.join().unwrap();
        }
    });
}

/// A mutator that has requested a collection, and waits for a stop, does not go on for a stop that
/// is not for a collection (GA6).
fn a_stop_that_answers_nobody_lets_nobody_go<S: Steps>() {
    check_bounded(3, || {
        let world = World::<S>::new(0);
        Requests::of(&world.gate).request_gc();
        let collector = S::claim(&world.gate);
        let waiter = world.spawn(|w| S::claim_before_stop(&w.gate).is_some());
        S::resume(S::wait(S::raise(&collector), &[]).expect("nobody is abandoned"));
        S::give_back(collector);
        assert!(waiter.join().unwrap(), "GA6: passed by");
    });
}

#[test]
fn loom_who_slept_through_a_stop_is_let_go() {
    who_slept_through_a_stop_is_let_go::<Sound>();
}

#[test]
fn loom_a_stop_that_answers_nobody_lets_nobody_go() {
    a_stop_that_answers_nobody_lets_nobody_go::<Sound>();
}

#[test]
fn loom_who_waits_for_a_stop_is_let_go_by_it() {
    who_waits_for_a_stop_is_let_go_by_it::<Sound>();
}

#[test]
fn loom_who_waits_for_a_stop_is_let_go_without_one() {
    who_waits_for_a_stop_is_let_go_without_one::<Sound>();
}

/// Stops the world without notifying the threads that wait for that.
struct StopsSilently;

impl Steps for StopsSilently {
    fn wait<'c>(stopping: Stopping<'c>, _: &[Arc<Member>]) -> Option<WorldStopped<'c>> {
        let _queue = stopping.stopped.gate.queue.lock();
        // Removed: gate.notify(&queue);
        Some(stopping.stopped)
    }
}

#[test]
fn loom_mutant_stops_silently() {
    caught(DEADLOCK, who_waits_for_a_stop_is_let_go_by_it::<StopsSilently>);
}

/// Looks for the flag before it takes the lock under which it goes to sleep.
struct LooksUnlocked;

impl Steps for LooksUnlocked {
    fn claim_before_stop(gate: &Gate) -> Option<CollectorLock<'_>> {
        while Requests::of(gate).get() != Request::Block {
            // Changed: the look, to before the lock.
            drop(gate.sleep(gate.queue.lock()));
        }
        None
    }
}

#[test]
fn loom_mutant_looks_unlocked() {
    caught(DEADLOCK, who_waits_for_a_stop_is_let_go_by_it::<LooksUnlocked>);
}

/// Goes on as it does far from a limit.
struct GoesOn;

impl Steps for GoesOn {
    fn claim_before_stop(gate: &Gate) -> Option<CollectorLock<'_>> {
        // Changed: claim_before_stop().
        Requests::of(gate).try_claim()
    }
}

#[test]
fn loom_mutant_goes_on() {
    caught("goes on before the stop", who_waits_for_a_stop_is_let_go_by_it::<GoesOn>);
}

/// Waits for the flag, and does not count stops.
struct CountsNoStops;

impl Steps for CountsNoStops {
    fn claim_before_stop(gate: &Gate) -> Option<CollectorLock<'_>> {
        // Removed: stopped ||.
        let requests = Requests::of(gate);
        gate.claim_unless(|_| requests.get() == Request::Block && !requests.gc_requested())
    }
}

#[test]
fn loom_mutant_counts_no_stops() {
    caught(DEADLOCK, who_slept_through_a_stop_is_let_go::<CountsNoStops>);
}

/// Goes on after any stop.
struct ForgetsItsRequest;

impl Steps for ForgetsItsRequest {
    fn claim_before_stop(gate: &Gate) -> Option<CollectorLock<'_>> {
        // Removed: && !self.gc_requested().
        gate.claim_unless(|stopped| stopped || Requests::of(gate).get() == Request::Block)
    }
}

#[test]
fn loom_mutant_forgets_its_request() {
    caught("GA6: passed by", a_stop_that_answers_nobody_lets_nobody_go::<ForgetsItsRequest>);
}
