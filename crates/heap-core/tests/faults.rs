//! Every call to the system fails in turn, and every allocation of the heap's own
//! tables: each time the caller gets an error, the heap is sound, and goes on.
//!
//! The tests share an allocator that fails on demand, and so take turns.

#![cfg(not(heap_loom))]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use heap_core::error::OutOfMemory;
use heap_core::geometry::{ARENA_SIZE, PAGE_SIZE};
use heap_core::os::{Failure, SimOs, SystemOs};
use support::{Toy, config};

const MIB: usize = 1 << 20;

/// Fails one of the allocations of whole chunks of tables (bitmaps, span
/// records), which the heap makes through the fallible interface.
struct FailingChunks;

/// Chunks until the one that fails; negative for never.
static COUNTDOWN: AtomicI64 = AtomicI64::new(-1);
static SERIAL: Mutex<()> = Mutex::new(());

fn is_chunk(layout: Layout) -> bool {
    let records = 64 * size_of::<heap_core::mspan::Span>();
    layout.size() == 64 << 10 || layout.size() == records
}

#[allow(unsafe_code, reason = "the test's global allocator")]
// SAFETY: forwards to the system's allocator.
unsafe impl GlobalAlloc for FailingChunks {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_chunk(layout)
            && COUNTDOWN.load(Ordering::Relaxed) >= 0
            && COUNTDOWN.fetch_sub(1, Ordering::Relaxed) == 0
        {
            return std::ptr::null_mut();
        }
        // SAFETY: forwarded.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: forwarded.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: FailingChunks = FailingChunks;

/// Checks the heap; the checker's own tables can always be had.
fn verify(toy: &Toy) {
    let countdown = COUNTDOWN.swap(-1, Ordering::Relaxed);
    toy.verify();
    COUNTDOWN.store(countdown, Ordering::Relaxed);
}

/// A workload that makes every kind of call: arenas, huge objects, giving back.
/// Returns the number of refused allocations.
fn workload(toy: &mut Toy) -> usize {
    let mut refused = 0;
    let mut check = |toy: &mut Toy, bytes, kind| {
        if let Err(reason) = toy.alloc(0, kind, bytes) {
            assert_eq!(reason, OutOfMemory::System);
            refused += 1;
            verify(toy);
            // The very next try may succeed, and must where memory has returned.
        }
    };
    for round in 0..3 {
        for i in 0..400 {
            check(toy, 16 + i * 7 % 3000, i % 4);
        }
        for i in 0..3 {
            check(toy, 25 * MIB + i * PAGE_SIZE, 0);
        }
        check(toy, ARENA_SIZE + round * MIB, 2);
        toy.kill_every(2);
        toy.collect_fully();
        toy.heap.scavenge(30 * MIB);
        verify(toy);
        toy.kill_every(3);
        toy.collect();
        toy.heap.release_idle();
        verify(toy);
    }
    toy.kill_every(1);
    toy.collect_fully();
    toy.heap.release_idle();
    verify(toy);
    refused
}

fn after_the_failure(mut toy: Toy) {
    toy.check_contents();
    for bytes in [16, 100, 5000, 100_000, ARENA_SIZE] {
        toy.alloc(0, 2, bytes).expect("memory has returned");
    }
    toy.collect_fully();
    toy.verify_flushed();
    toy.finish();
}

fn new_toy(os: &SimOs) -> Toy {
    let config = heap_core::mheap::CoreConfig { huge_pages: true, ..config() };
    Toy::new(config, Box::new(os.clone()), 1)
}

#[test]
fn any_one_call_to_the_system_may_fail() {
    let _serial = SERIAL.lock();
    let os = SimOs::new();
    let mut toy = new_toy(&os);
    assert_eq!(workload(&mut toy), 0);
    toy.finish();
    let calls = os.calls();
    assert!(calls > 30, "the workload makes {calls} calls only");
    let mut refused = 0;
    for n in 0..calls {
        let os = SimOs::new();
        os.set_failure(Failure::Nth(n));
        let mut toy = new_toy(&os);
        refused += workload(&mut toy);
        assert_eq!(os.failed(), 1, "call {n}");
        assert_eq!(os.reserved(), toy.heap.memory().mapped);
        after_the_failure(toy);
    }
    // A refused arena is made up for by a smaller one; a huge object cannot be.
    assert!(refused >= 3, "{refused}");
}

#[test]
fn any_one_table_may_not_be_had() {
    let _serial = SERIAL.lock();
    let mut refused = 0;
    for n in 0.. {
        let mut toy = Toy::plain();
        COUNTDOWN.store(n, Ordering::Relaxed);
        refused += workload(&mut toy);
        let left = COUNTDOWN.swap(-1, Ordering::Relaxed);
        after_the_failure(toy);
        if left >= 0 {
            assert!(n > 4, "the workload takes {n} tables only");
            break;
        }
    }
    assert!(refused > 0, "no allocation noticed");
}

#[test]
fn a_system_without_memory_refuses_and_recovers() {
    let _serial = SERIAL.lock();
    let os = SimOs::new();
    let mut toy = new_toy(&os);
    os.set_failure(Failure::Always);
    for bytes in [16, 5000, 50_000, ARENA_SIZE] {
        assert_eq!(toy.alloc(0, 2, bytes), Err(OutOfMemory::System));
        toy.verify();
    }
    os.set_failure(Failure::Never);
    for bytes in [16, 5000, 50_000, ARENA_SIZE] {
        toy.alloc(0, 2, bytes).expect("memory");
    }
    os.set_failure(Failure::Always);
    // What the heap has it can still use.
    for _ in 0..1000 {
        toy.alloc(0, 2, 64).expect("the arena has room");
    }
    assert_eq!(toy.alloc(0, 2, ARENA_SIZE), Err(OutOfMemory::System));
    toy.kill_every(1);
    toy.collect_fully();
    assert!(toy.heap.release_idle() > 0, "arenas can be unmapped all the same");
    toy.verify_flushed();
    os.set_failure(Failure::Never);
    after_the_failure(toy);
}

#[test]
fn scarce_address_space_means_smaller_arenas() {
    let _serial = SERIAL.lock();
    for cap in [6 * MIB, 8 * MIB, 17 * MIB, 40 * MIB, 63 * MIB, 100 * MIB] {
        let os = SimOs::new();
        os.set_cap(Some(cap));
        let mut toy = new_toy(&os);
        let mut got = 0;
        while toy.alloc(0, 1, 1000).is_ok() {
            got += 1024;
        }
        let memory = toy.heap.memory();
        assert!(memory.adds_up() && memory.mapped <= cap);
        assert!(memory.regions > 0, "{cap} allow for a small arena");
        assert!(cap - memory.mapped < 6 * MIB, "{cap} allow for more than {memory:?}");
        assert!(got + 100 * PAGE_SIZE >= memory.in_use && memory.idle + memory.released < MIB);
        toy.verify();
        // An object that fits no arena of this size is refused.
        assert_eq!(toy.alloc(0, 1, cap), Err(OutOfMemory::System));
        toy.kill_every(2);
        toy.collect_fully();
        toy.verify_flushed();
        toy.alloc(0, 1, 1000).expect("swept");
        os.set_cap(None);
        after_the_failure(toy);
    }
}

#[test]
fn absurd_sizes_are_refused_and_change_nothing() {
    let _serial = SERIAL.lock();
    let toy = Toy::plain();
    let kind = support::KINDS[0];
    let sizes = [usize::MAX, usize::MAX - 1, isize::MAX as usize, isize::MAX as usize - ARENA_SIZE];
    for bytes in sizes.into_iter().chain((45..63).map(|shift| 1 << shift)) {
        let refused = toy.heap.alloc_large(kind, bytes);
        // An overcommitting system may grant 32 TiB of address space; no more.
        assert!(refused.is_err() || bytes < 1 << 47, "{bytes:#x}");
        toy.verify();
    }
}

/// The real thing: a limit on the address space of a process of its own.
#[cfg(target_os = "linux")]
#[test]
fn a_process_with_little_address_space_gets_smaller_arenas() {
    const MARK: &str = "HEAP_TEST_LIMITED";
    if std::env::var_os(MARK).is_some() {
        let mut toy = Toy::new(config(), Box::new(SystemOs), 1);
        let mut bytes = 0;
        while toy.alloc(0, 1, 8192).is_ok() {
            bytes += 8192;
        }
        let memory = toy.heap.memory();
        println!("{bytes} bytes in {memory:?}");
        assert!(bytes > 0, "not even a small arena: {memory:?}");
        toy.verify();
        toy.kill_every(1);
        toy.collect_fully();
        toy.alloc(0, 1, 8192).expect("memory has returned");
        return;
    }
    let me = std::env::current_exe().expect("a test binary");
    for limit_kib in [1 << 20, 256 << 10, 160 << 10] {
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg(format!(
                "ulimit -v {limit_kib}; exec {} --exact --nocapture --test-threads=1 \
                 a_process_with_little_address_space_gets_smaller_arenas",
                me.display()
            ))
            .env(MARK, "1")
            .output()
            .expect("a shell");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "with {limit_kib} KiB: {text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
