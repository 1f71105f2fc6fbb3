//! The sanitizers see into a heap: each misuse below, in a process of its own, ends
//! with a report. Without these tests a build that has lost its instrumentation
//! would pass everything else.
//!
//! Built by `scripts/sanitize.sh` only.

#![cfg(any(heap_asan, heap_tsan))]
#![allow(unsafe_code, reason = "misuses memory, on purpose")]

mod support;

use std::ptr::NonNull;

use support::Toy;

/// Tells the process started by a test which misuse is wanted.
const WANTED: &str = "HEAP_TEST_MISUSE";

/// Runs `misuse`, of the test that calls this, in a process of its own; returns what it reports.
#[track_caller]
fn report_of(misuse: impl FnOnce()) -> String {
    if std::env::var_os(WANTED).is_some() {
        misuse();
        std::process::exit(0);
    }
    let output = processes::this_test().env(WANTED, "1").output().expect("the process starts");
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it went unnoticed: {report}");
    report
}

#[cfg(heap_asan)]
mod address {
    use heap_core::geometry::PAGE_SIZE;

    use super::*;

    fn read(object: NonNull<u8>, offset: usize) {
        // SAFETY: none; this is what the sanitizer is there for.
        std::hint::black_box(unsafe { object.as_ptr().wrapping_add(offset).read_volatile() });
    }

    /// A heap with a live object of `bytes` bytes and the dead one before it, which
    /// has been swept.
    fn live_and_freed(bytes: usize) -> (Toy, NonNull<u8>, NonNull<u8>) {
        let mut toy = Toy::plain();
        let dead = toy.alloc(0, 1, bytes).expect("memory");
        let live = toy.alloc(0, 1, bytes).expect("memory");
        toy.kill(dead.addr().get());
        toy.collect_fully();
        (toy, live, dead)
    }

    #[test]
    fn a_read_of_a_freed_slot_is_reported() {
        let report = report_of(|| {
            let (_toy, live, dead) = live_and_freed(48);
            read(live, 47);
            read(dead, 0);
        });
        assert!(report.contains("use-after-poison"), "{report}");
    }

    #[test]
    fn a_read_of_a_slot_that_was_never_handed_out_is_reported() {
        let report = report_of(|| {
            let (_toy, live, _) = live_and_freed(48);
            read(live, 48);
        });
        assert!(report.contains("use-after-poison"), "{report}");
    }

    #[test]
    fn a_read_behind_a_large_object_is_reported() {
        let report = report_of(|| {
            let (_toy, live, _) = live_and_freed(5 * PAGE_SIZE + 8);
            read(live, 5 * PAGE_SIZE + 7);
            read(live, 5 * PAGE_SIZE + 8);
        });
        assert!(report.contains("use-after-poison"), "{report}");
    }

    #[test]
    fn a_read_of_a_freed_large_object_is_reported() {
        let report = report_of(|| {
            let (_toy, _, dead) = live_and_freed(5 * PAGE_SIZE);
            read(dead, 3 * PAGE_SIZE);
        });
        assert!(report.contains("use-after-poison"), "{report}");
    }

    /// What only freed memory leads to is lost; what a live object owns is not, even in
    /// a heap that never ends.
    #[test]
    fn a_leak_is_what_only_a_freed_slot_leads_to() {
        let report = report_of(|| {
            let mut toy = Toy::plain();
            for bytes in [1234, 4321] {
                let object = toy.alloc(0, 1, 64).expect("memory");
                let owned = Box::into_raw(vec![1_u8; bytes].into_boxed_slice());
                // SAFETY: within the object.
                unsafe { object.add(32).cast::<*mut u8>().write(owned.cast()) };
                if bytes == 4321 {
                    toy.kill(object.addr().get());
                }
            }
            toy.collect_fully();
            std::mem::forget(toy);
        });
        assert!(report.contains("of 4321 byte(s)"), "{report}");
        assert!(!report.contains("of 1234 byte(s)"), "{report}");
    }
}

#[cfg(heap_tsan)]
mod thread {
    use heap_sync::lock::{Condvar, Mutex, RwLock};

    use super::*;

    /// An object that several threads write to.
    #[derive(Clone, Copy)]
    struct Shared(NonNull<u64>);

    // SAFETY: none; that is what the sanitizer is there for.
    unsafe impl Send for Shared {}
    // SAFETY: as above.
    unsafe impl Sync for Shared {}

    impl Shared {
        fn add(&self) {
            // SAFETY: a live object, but perhaps others write to it.
            unsafe { self.0.write(self.0.read() + 1) };
        }
    }

    /// Two threads that add to an object of a heap in the way that `add` does.
    fn add_twice(add: impl Fn(Shared) + Sync) {
        let mut toy = Toy::plain();
        let object = Shared(toy.alloc(0, 1, 64).expect("memory").cast());
        std::thread::scope(|scope| {
            let threads = [(); 2].map(|()| scope.spawn(|| (0..1000).for_each(|_| add(object))));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }

    #[test]
    fn unordered_writes_to_an_object_are_reported() {
        let report = report_of(|| {
            add_twice(|object| object.add());
        });
        assert!(report.contains("data race"), "{report}");
    }

    /// The lock that is taken is not the lock that is meant.
    #[test]
    fn writes_under_two_locks_are_reported() {
        let report = report_of(|| {
            let locks = [Mutex::new(()), Mutex::new(())];
            let turn = std::sync::atomic::AtomicUsize::new(0);
            add_twice(|object| {
                let turn = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let _guard = locks[turn % 2].lock();
                object.add();
            });
        });
        assert!(report.contains("data race"), "{report}");
    }

    /// What our locks order is no race, whether a thread had to wait or not. A report
    /// here would be one of the whole process, and fail the run.
    #[test]
    fn what_locks_order_is_not_reported() {
        let lock = Mutex::new(());
        add_twice(|object| {
            let _guard = lock.lock();
            object.add();
            std::thread::yield_now();
        });
        let lock = RwLock::new(());
        add_twice(|object| {
            drop(lock.read());
            let _guard = lock.write();
            object.add();
            std::thread::yield_now();
        });
        let (turns, changed) = (Mutex::new(0), Condvar::new());
        add_twice(|object| {
            let mut turn = turns.lock();
            *turn += 1;
            let mine = *turn;
            object.add();
            changed.notify_all();
            // Until the other one has come, or this was the last.
            while *turn == mine && mine < 2000 {
                turn = changed.wait(turn);
            }
        });
    }
}
