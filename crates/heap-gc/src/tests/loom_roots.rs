//! A root and its clone, which share a cell, under the model checker.
//!
//! Two threads have an entry each. Each uses the object, and gives its entry up; the last one clears
//! the cell under the table's lock. A collector looks at the table once; if it finds no root it
//! frees the object (R1). The counting is the real one; the object is a cell of loom's, which reports
//! two accesses that are not ordered.
//!
//! A [`Steps`] is what entries do. A mutant is a `Steps` in which one lacks an ordering, or counts
//! wrongly.

use std::sync::Arc;

use heap_sync::atomic::{AtomicU32, Ordering};
use heap_sync::lock::Mutex;
use heap_sync::model::{UNORDERED, caught, check};
use heap_sync::thread::spawn;
use loom::cell::UnsafeCell;

/// What entries do.
trait Steps: 'static {
    fn share(count: &AtomicU32) -> bool {
        super::share(count)
    }
    fn give_up(count: &AtomicU32) -> bool {
        super::give_up(count)
    }
}

/// The protocol as it is.
struct Sound;
impl Steps for Sound {}

/// The last entry is dropped before the object was used for the last time, as others see it.
struct GivesUpRelaxed;
impl Steps for GivesUpRelaxed {
    fn give_up(count: &AtomicU32) -> bool {
        count.fetch_sub(1, Ordering::Relaxed) == 1 && count.load(Ordering::Acquire) == 0
    }
}

/// The last entry does not know what the others have done.
struct EndsRelaxed;
impl Steps for EndsRelaxed {
    fn give_up(count: &AtomicU32) -> bool {
        count.fetch_sub(1, Ordering::Release) == 1
    }
}

/// A clone is not counted.
struct SharesSilently;
impl Steps for SharesSilently {
    fn share(_: &AtomicU32) -> bool {
        true
    }
}

struct Table {
    count: AtomicU32,
    is_rooted: Mutex<bool>,
    object: UnsafeCell<u8>,
}

// SAFETY: loom watches over the object; the rest is `Sync`.
unsafe impl Sync for Table {}

impl Table {
    fn drop_entry<S: Steps>(&self) {
        self.object.with(|_| ());
        if S::give_up(&self.count) {
            *self.is_rooted.lock() = false;
        }
    }
}

fn run<S: Steps>() {
    let table = Arc::new(Table {
        count: AtomicU32::new(1),
        is_rooted: Mutex::new(true),
        object: UnsafeCell::new(0),
    });
    assert!(S::share(&table.count));
    let threads = [(); 2].map(|()| {
        let table = Arc::clone(&table);
        spawn(move || table.drop_entry::<S>())
    });
    if !*table.is_rooted.lock() {
        table.object.with_mut(|_| ());
    }
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    assert!(!*table.is_rooted.lock(), "the root is never ended");
}

#[test]
fn the_last_entry_ends_the_root() {
    check(run::<Sound>);
}

#[test]
fn giving_up_relaxed_is_caught() {
    caught(UNORDERED, || check(run::<GivesUpRelaxed>));
}

#[test]
fn ending_relaxed_is_caught() {
    caught(UNORDERED, || check(run::<EndsRelaxed>));
}

#[test]
fn a_clone_that_is_not_counted_is_caught() {
    caught(UNORDERED, || check(run::<SharesSilently>));
}
