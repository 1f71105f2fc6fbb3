//! A fork waits for the end of the sweeper's current batch.
//!
//! What the sweeper leaves half done is a cell that it touches in its batches, and that the
//! forking thread touches while it holds the sweeper off: loom reports two accesses that are not
//! ordered. (A child is a copy of what the forking thread sees.)

use std::sync::Arc;

use loom::thread;

use heap_sync::model::{UNORDERED, Witness, caught, check};

use super::{Batch, Batches, Ordering};

/// The steps of the protocol. What is not overridden is the real thing.
trait Steps: 'static {
    fn begin(batches: &Batches) -> Option<Batch<'_>> {
        batches.begin()
    }

    fn end(batch: Batch<'_>) {
        drop(batch);
    }

    fn try_hold_off(batches: &Batches) -> bool {
        batches.try_hold_off()
    }
}

struct Sound;
impl Steps for Sound {}

fn a_fork_finds_no_batch<S: Steps>() {
    check(|| {
        let shared = Arc::new((Batches::default(), Witness::default()));
        let sweeper = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for _ in 0..2 {
                    if let Some(batch) = S::begin(&shared.0) {
                        shared.1.touch();
                        S::end(batch);
                    }
                }
            }
        });
        if S::try_hold_off(&shared.0) {
            shared.1.touch();
            shared.0.resume();
        }
        sweeper.join().unwrap();
    });
}

#[test]
fn loom_a_fork_finds_no_batch() {
    a_fork_finds_no_batch::<Sound>();
}

/// Forks in the middle of a batch.
struct ForksAnyway;

impl Steps for ForksAnyway {
    fn try_hold_off(batches: &Batches) -> bool {
        // Changed: the answer is not looked at.
        let _ = batches.try_hold_off();
        true
    }
}

#[test]
fn loom_mutant_forks_anyway() {
    caught(UNORDERED, a_fork_finds_no_batch::<ForksAnyway>);
}

/// Does not look whether the process forks.
struct BeginsAnyway;

impl Steps for BeginsAnyway {
    fn begin(batches: &Batches) -> Option<Batch<'_>> {
        // Changed: the answer is not looked at.
        batches.0.store(true, Ordering::Relaxed);
        Some(Batch(batches))
    }
}

#[test]
fn loom_mutant_begins_anyway() {
    caught(UNORDERED, a_fork_finds_no_batch::<BeginsAnyway>);
}

/// Ends a batch without publishing what it has done.
struct EndsRelaxed;

impl Steps for EndsRelaxed {
    fn end(batch: Batch<'_>) {
        // Changed: Relaxed for Release.
        batch.0.0.store(false, Ordering::Relaxed);
        std::mem::forget(batch);
    }
}

#[test]
fn loom_mutant_ends_relaxed() {
    caught(UNORDERED, a_fork_finds_no_batch::<EndsRelaxed>);
}
