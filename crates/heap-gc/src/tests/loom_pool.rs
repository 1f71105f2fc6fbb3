//! The pool of marking threads under the model checker, whole and with one part
//! broken.
//!
//! A job writes to something of the caller's. Once `run` has returned the caller
//! writes to it again: loom reports the two writes if another thread still does the job, or begins
//! to (PO1). A thread that waits without end is reported as a deadlock.
//!
//! A [`Steps`] is the pool as its users see it. A mutant is a `Steps` in which one
//! line is missing.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use heap_core::marks::Isa;
use heap_sync::atomic::Ordering;
use heap_sync::lock::{Condvar, Mutex};
use heap_sync::model::{UNORDERED, Witness, caught, check, check_bounded};
use heap_sync::thread::{JoinHandle, spawn};

use super::{Job, MarkPool, PoolState, State, WhileBlocked, helper, or_abort};

/// What loom says when all threads wait.
const DEADLOCK: &str = "deadlock; threads";

/// The steps of the protocol. What is not overridden is the real thing.
trait Steps: 'static {
    fn run(pool: &MarkPool, job: &(dyn Fn(usize) + Sync), own: impl FnOnce()) {
        pool.shared.run(job, own, || Self::wake(&pool.shared));
    }

    /// How the helpers are woken, which are the model's: the pool starts none.
    fn wake(shared: &PoolState) {
        shared.offered.notify_all();
    }

    /// What a helper thread does.
    fn helper(shared: &PoolState) {
        helper(shared);
    }

    /// What a waiting mutator does: it looks once and goes to sleep.
    fn help(pool: &MarkPool) {
        let watch = pool.watch();
        watch.poll();
        drop(watch);
    }
}

/// The protocol as it is.
struct Sound;

impl Steps for Sound {}

fn spawn_helper<S: Steps>(pool: &MarkPool) -> JoinHandle<()> {
    let shared = Arc::clone(&pool.shared);
    spawn(move || S::helper(&shared))
}

fn spawn_mutator<S: Steps>(pool: &Arc<MarkPool>) -> JoinHandle<()> {
    let pool = Arc::clone(pool);
    spawn(move || S::help(&pool))
}

/// A mark phase with a helper and a waiting mutator, as many as there are worker slots or one
/// more than that.
fn nobody_works_when_run_has_returned<S: Steps>(worker_slots: usize) {
    let pool = Arc::new(MarkPool::new(worker_slots, Isa::Portable));
    let (helper, mutator) = (spawn_helper::<S>(&pool), spawn_mutator::<S>(&pool));
    let of_the_caller =
        Arc::new((0..=worker_slots).map(|_| Witness::default()).collect::<Vec<_>>());
    let job = |worker_slot: usize| {
        of_the_caller[worker_slot].touch();
    };
    S::run(&pool, &job, || job(0));
    for worker_slot in of_the_caller.iter() {
        assert!(worker_slot.touch() <= 1, "a worker_slot is taken once");
    }
    end(&pool);
    helper.join().unwrap();
    mutator.join().unwrap();
}

/// Two mark phases in a row: a helper that comes late for the first takes no part in it.
fn a_late_helper_takes_part_in_the_next<S: Steps>() {
    let pool = MarkPool::new(1, Isa::Portable);
    let helper = spawn_helper::<S>(&pool);
    for _ in 0..2 {
        let of_the_caller = Arc::new(Witness::default());
        let job = |_: usize| {
            of_the_caller.touch();
        };
        S::run(&pool, &job, || ());
        of_the_caller.touch();
    }
    end(&pool);
    helper.join().unwrap();
}

/// A mark phase that is not over before another thread has taken a worker slot.
fn run_until_a_seat_is_taken<S: Steps>(pool: &MarkPool) {
    let (taken, changed) = (Mutex::new(false), Condvar::new());
    let job = |_: usize| {
        *taken.lock() = true;
        changed.notify_one();
    };
    S::run(pool, &job, || {
        let mut taken = taken.lock();
        while !*taken {
            taken = changed.wait(taken);
        }
    });
}

/// With one worker slot, beside a helper and a mutator that waits (PO2).
fn a_seat_is_seen<S: Steps>() {
    let pool = Arc::new(MarkPool::new(1, Isa::Portable));
    let (helper, mutator) = (spawn_helper::<S>(&pool), spawn_mutator::<S>(&pool));
    run_until_a_seat_is_taken::<S>(&pool);
    end(&pool);
    helper.join().unwrap();
    mutator.join().unwrap();
}

/// With two worker slots, of which a mutator that watches may take one: a helper takes the other
/// (PO2).
fn a_helper_is_woken_beside_a_watcher<S: Steps>() {
    let pool = MarkPool::new(2, Isa::Portable);
    let helper = spawn_helper::<S>(&pool);
    let watch = pool.watch();
    run_until_a_seat_is_taken::<S>(&pool);
    drop(watch);
    end(&pool);
    helper.join().unwrap();
}

/// The threads are the model's, so the pool has none to join.
fn end(pool: &MarkPool) {
    pool.shared.state.lock().stop = true;
    pool.shared.offered.notify_all();
}

#[test]
fn loom_nobody_works_when_run_has_returned() {
    check_bounded(5, || nobody_works_when_run_has_returned::<Sound>(1));
    check_bounded(3, || nobody_works_when_run_has_returned::<Sound>(2));
}

#[test]
fn loom_a_late_helper_takes_part_in_the_next() {
    check(a_late_helper_takes_part_in_the_next::<Sound>);
}

#[test]
fn loom_a_seat_is_seen() {
    check_bounded(4, a_seat_is_seen::<Sound>);
}

#[test]
fn loom_a_helper_is_woken_beside_a_watcher() {
    check(a_helper_is_woken_beside_a_watcher::<Sound>);
}

// ---- the mutants ----------------------------------------------------------------

/// The real one, up to the end of the caller's own part.
fn offer_and_do_own(pool: &MarkPool, job: &(dyn Fn(usize) + Sync), own: impl FnOnce()) {
    // SAFETY: none: this is what the mutants break, and the model sees it.
    let job: Job = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), Job>(job) };
    if pool.shared.offer(job) {
        pool.shared.offered.notify_all();
    }
    or_abort(own);
}

/// Returns while others work.
struct ReturnsEarly;

impl Steps for ReturnsEarly {
    fn run(pool: &MarkPool, job: &(dyn Fn(usize) + Sync), own: impl FnOnce()) {
        offer_and_do_own(pool, job, own);
        pool.shared.withdraw(&mut pool.shared.state.lock());
        // Removed: finish()
    }
}

#[test]
fn loom_mutant_returns_early() {
    caught(UNORDERED, || check(|| nobody_works_when_run_has_returned::<ReturnsEarly>(1)));
}

/// Leaves the job on offer.
struct LeavesTheJob;

impl Steps for LeavesTheJob {
    fn run(pool: &MarkPool, job: &(dyn Fn(usize) + Sync), own: impl FnOnce()) {
        offer_and_do_own(pool, job, own);
        // Removed: withdraw()
        pool.shared.finish();
    }
}

#[test]
fn loom_mutant_leaves_the_job() {
    caught(UNORDERED, || check(|| nobody_works_when_run_has_returned::<LeavesTheJob>(1)));
}

/// Takes a worker slot without being counted as busy.
struct SitsUncounted;

impl Steps for SitsUncounted {
    fn help(pool: &MarkPool) {
        let shared = &pool.shared;
        let worker_slot = {
            let mut state = shared.state.lock();
            let state: &mut State = &mut state;
            state.job.filter(|_| state.taken < shared.worker_slots).map(|job| {
                state.taken += 1;
                // Removed: busy += 1.
                (job, state.taken)
            })
        };
        if let Some((job, worker_slot)) = worker_slot {
            or_abort(|| job(worker_slot));
        }
    }
}

#[test]
fn loom_mutant_sits_uncounted() {
    caught(UNORDERED, || check(|| nobody_works_when_run_has_returned::<SitsUncounted>(1)));
}

/// Finishes without notifying the thread that waits.
struct FinishesSilently;

impl Steps for FinishesSilently {
    fn help(pool: &MarkPool) {
        let shared = &pool.shared;
        let worker_slot = shared.claim_slot(&mut shared.state.lock());
        if let Some((job, worker_slot)) = worker_slot {
            or_abort(|| job(worker_slot));
            let _state = shared.state.lock();
            shared.busy.fetch_sub(1, Ordering::Relaxed);
            // Removed: if state.awaited { finished.notify_one() }
        }
    }
}

#[test]
fn loom_mutant_finishes_silently() {
    caught(DEADLOCK, || check(|| nobody_works_when_run_has_returned::<FinishesSilently>(1)));
}

/// A mutator that was counted on goes to sleep without another look.
struct CeasesBlindly;

impl Steps for CeasesBlindly {
    fn help(pool: &MarkPool) {
        let watch = ManuallyDrop::new(pool.watch());
        watch.poll();
        pool.shared.state.lock().watching -= 1;
        // Removed: the claim of a worker slot, and the work.
    }
}

#[test]
fn loom_mutant_ceases_blindly() {
    caught(DEADLOCK, || check_bounded(3, a_seat_is_seen::<CeasesBlindly>));
}

/// A mutator that ceases to watch is still counted on.
struct CeasesUncounted;

impl Steps for CeasesUncounted {
    fn help(pool: &MarkPool) {
        let watch = ManuallyDrop::new(pool.watch());
        watch.poll();
        // Removed: watching -= 1.
        pool.shared.help(|_| ());
    }
}

#[test]
fn loom_mutant_ceases_uncounted() {
    caught(DEADLOCK, || check_bounded(3, a_seat_is_seen::<CeasesUncounted>));
}

/// Wakes no helper.
struct OffersSilently;

impl Steps for OffersSilently {
    fn wake(_: &PoolState) {
        // Removed: offered.notify_all().
    }
}

#[test]
fn loom_mutant_offers_silently() {
    caught(DEADLOCK, || check_bounded(3, a_seat_is_seen::<OffersSilently>));
}

/// Thinks that one mutator will take all worker slots.
struct OverratesWatchers;

impl Steps for OverratesWatchers {
    fn wake(shared: &PoolState) {
        if shared.state.lock().watching == 0 {
            shared.offered.notify_all();
        }
    }
}

#[test]
fn loom_mutant_overrates_watchers() {
    caught(DEADLOCK, || check(a_helper_is_woken_beside_a_watcher::<OverratesWatchers>));
}
