//! A child of `fork` has the forking thread and no other: it may drop a heap that had threads of
//! its own, and go on with it without them.
//!
//! One test at a time forks, and each child ends with `_exit`: it is not to run the test
//! harness's ends.

#![cfg(unix)]
#![allow(unsafe_code, reason = "calls fork")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use heap_api::{Config, Cx, Gc, GcCell, Heap, Opaque, Root, Trace};
use heap_tests::Counter;

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `body` in a child; panics unless it returns, within half a minute.
#[track_caller]
fn in_child(body: impl FnOnce()) {
    wait_for(begin_child(body));
}

/// The same, for several at a time: the child's name for `wait_for`.
fn begin_child(body: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child runs `body`, which may do what a thread of this test may do: the
    // allocator of the system can be used after a fork.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        // SAFETY: plain calls to the system; none of them returns to the harness.
        unsafe {
            libc::alarm(30);
            let body = std::panic::AssertUnwindSafe(body);
            libc::_exit(if std::panic::catch_unwind(body).is_ok() { 0 } else { 1 });
        }
    }
    child
}

#[track_caller]
fn wait_for(child: libc::pid_t) {
    let mut status = 0;
    // SAFETY: a child of this process, and a place for its status.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child's status; 14 is the alarm's");
}

type Kept = Root<[GcCell<Option<Gc<'static, [u64; 4]>>>]>;

fn keep(cx: &Cx, len: usize) -> Kept {
    let object = |i| GcCell::new(Some(cx.alloc([i as u64; 4])));
    cx.root(cx.alloc_slice_fn(len, object))
}

fn check(cx: &Cx, kept: &Kept) {
    for (i, object) in kept.get(cx).iter().enumerate() {
        assert_eq!(*object.get().unwrap(), [i as u64; 4]);
    }
}

fn configs() -> Vec<Config> {
    let mut configs = Vec::new();
    for mark_threads in [0, 2] {
        for sweeper in [false, true] {
            let config = Config::new().mark_threads(mark_threads).background_sweep(sweeper);
            configs.push(config.clone());
            configs.push(config.mark_slice(std::time::Duration::ZERO));
        }
    }
    configs
}

/// Uses a heap: allocates, collects several times, and verifies.
fn use_it(cx: &mut Cx, kept: &Kept) {
    for _ in 0..3 {
        for i in 0..20_000 {
            let _ = cx.alloc([i; 6]);
            cx.safepoint();
        }
        cx.collect();
        check(cx, kept);
        cx.verify().unwrap();
    }
}

#[test]
fn a_child_drops_the_heap() {
    let _alone = alone();
    for config in configs() {
        let heap = Heap::new(config);
        let mut cx = heap.enter();
        let kept = keep(&cx, 20_000);
        (0..3).for_each(|_| cx.collect());
        in_child(|| {
            // Moved into the child's copy of this stack; the parent has its own.
            // SAFETY: `_exit` ends this copy of the frame, so nothing is dropped twice.
            unsafe {
                drop(std::ptr::read(&raw const kept));
                drop(std::ptr::read(&raw const cx));
                drop(std::ptr::read(&raw const heap));
            }
        });
        use_it(&mut cx, &kept);
    }
}

#[test]
fn a_child_uses_the_heap_and_so_does_the_parent() {
    let _alone = alone();
    for config in configs() {
        let heap = Heap::new(config);
        let mut cx = heap.enter();
        let kept = keep(&cx, 20_000);
        (0..3).for_each(|_| cx.collect());
        in_child(|| {
            // SAFETY: as in `a_child_drops_the_heap`.
            let (mut cx, heap, kept) = unsafe {
                (
                    std::ptr::read(&raw const cx),
                    std::ptr::read(&raw const heap),
                    std::ptr::read(&raw const kept),
                )
            };
            use_it(&mut cx, &kept);
            assert!(heap.stats().collections >= 6);
            // A heap that the child makes has threads of its own.
            cx.park(|| {
                let own = Heap::new(Config::new().mark_threads(2).background_sweep(true));
                let mut cx = own.enter();
                let kept = keep(&cx, 20_000);
                use_it(&mut cx, &kept);
            });
            // And so have children of children nothing of either.
            in_child(|| use_it(&mut cx, &kept));
            drop((kept, cx, heap));
        });
        use_it(&mut cx, &kept);
    }
}

/// Takes its time to die, so that sweepers are in a batch nearly always.
#[derive(Trace)]
#[trace(leaf)]
struct Slow;

impl Drop for Slow {
    fn drop(&mut self) {
        std::hint::black_box((0..2000).sum::<u64>());
    }
}

#[test]
fn a_fork_waits_for_the_sweepers_batch() {
    let _alone = alone();
    let heap = Heap::new(Config::new().mark_threads(1).background_sweep(true));
    let mut cx = heap.enter();
    let kept = keep(&cx, 1000);
    let counter = Counter::new();
    for round in 0..if cfg!(debug_assertions) { 30 } else { 100 } {
        for i in 0..2000 {
            let _ = cx.alloc(Opaque((Slow, counter.value(i))));
        }
        cx.collect();
        std::thread::sleep(std::time::Duration::from_micros(37 * (round % 20)));
        in_child(|| {
            // SAFETY: as in `a_child_drops_the_heap`.
            let mut cx = unsafe { std::ptr::read(&raw const cx) };
            use_it(&mut cx, &kept);
            drop(cx);
        });
    }
    use_it(&mut cx, &kept);
    assert_eq!(counter.dropped(), counter.made());
}

#[test]
fn threads_may_fork_while_heaps_come_and_go() {
    let _alone = alone();
    let over = Arc::new(AtomicBool::new(false));
    let busy = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            while !over.load(Ordering::Relaxed) {
                let heap = Heap::new(Config::new().mark_threads(1).background_sweep(true));
                let mut cx = heap.enter();
                (0..100).for_each(|i| drop(cx.root(cx.alloc([i; 4]))));
                cx.collect();
            }
        }
    });
    for _ in 0..20 {
        // Only what `fork` itself does: the other thread is in the middle of anything.
        in_child(|| ());
    }
    over.store(true, Ordering::Relaxed);
    busy.join().unwrap();
}

/// FK3: whatever the first threads of the first heap wait for when the process forks, a child does
/// not. In a program of its own, since forks are seen from then on.
#[test]
fn a_fork_may_come_before_the_first_threads() {
    const PROGRAM: &str = "HEAP_FORK_PROGRAM";
    if std::env::var_os(PROGRAM).is_none() {
        let _alone = alone();
        let output = processes::this_test().env(PROGRAM, "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    fn use_one() {
        let heap = Heap::new(Config::new().mark_threads(1).background_sweep(true));
        let mut cx = heap.enter();
        let kept = keep(&cx, 100);
        (0..2).for_each(|_| cx.collect());
        check(&cx, &kept);
    }
    for _ in 0..30 {
        in_child(|| {
            let begun = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let other = scope.spawn(|| {
                    begun.store(true, Ordering::Relaxed);
                    use_one();
                });
                while !begun.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                let mut children = Vec::new();
                while !other.is_finished() {
                    // Only what `fork` itself does: locks of libraries, taken when a thread starts
                    // or a heap is first made, may be held by the other thread.
                    children.push(begin_child(|| ()));
                }
                children.into_iter().for_each(wait_for);
            });
        });
    }
}

/// The sweeper of a program is one more thread that a signal might interrupt, in a batch or in the
/// allocator; the handler may fork (FK4).
#[cfg(target_os = "linux")]
#[test]
fn no_signal_handler_runs_on_the_sweepers_thread() {
    use std::sync::atomic::{AtomicI32, AtomicUsize};
    static FORKED: AtomicUsize = AtomicUsize::new(0);
    static LAST: AtomicI32 = AtomicI32::new(0);

    extern "C" fn fork_at_once(_: libc::c_int) {
        // SAFETY: the child ends, and calls nothing before.
        unsafe {
            LAST.store(libc::gettid(), Ordering::Relaxed);
            let child = libc::fork();
            if child == 0 {
                libc::_exit(0);
            }
            libc::waitpid(child, std::ptr::null_mut(), 0);
        }
        FORKED.fetch_add(1, Ordering::Relaxed);
    }

    let _alone = alone();
    // In a child: to wait for itself is to wait for the alarm, and the handler is its own.
    in_child(|| {
        let handler = fork_at_once as extern "C" fn(libc::c_int);
        // SAFETY: a handler of the type that the system asks for.
        unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
        // Poison makes batches long.
        let heap = Heap::new(Config::new().background_sweep(true).stress(true));
        let mut cx = heap.enter();
        cx.collect();
        let is_sweeper = |task: &std::path::Path| {
            std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "heap-sweep")
        };
        let tasks = || std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap());
        let sweeper = loop {
            if let Some(task) = tasks().find(|task| is_sweeper(&task.path())) {
                break task.file_name().to_str().unwrap().parse::<libc::pid_t>().unwrap();
            }
            std::thread::yield_now();
        };
        // SAFETY: asks for a number.
        let this = unsafe { libc::gettid() };
        for round in 0..60 {
            for _ in 0..10 {
                let _ = cx.alloc_slice_zeroed::<u8>(1 << 20);
            }
            cx.collect();
            std::thread::sleep(std::time::Duration::from_micros(50 + round * 10));
            // One to the sweeper, which it never takes, and one to the process.
            // SAFETY: a thread of this process; this process.
            unsafe {
                libc::syscall(libc::SYS_tgkill, libc::getpid(), sweeper, libc::SIGUSR1);
                libc::kill(libc::getpid(), libc::SIGUSR1);
            }
            assert_eq!(LAST.load(Ordering::Relaxed), this);
        }
        drop(cx);
        drop(heap);
        assert_eq!(FORKED.load(Ordering::Relaxed), 60);
    });
}
