//! Every call to the system fails in turn, and every allocation of the heap's own
//! tables: each time the caller gets an error, the heap is sound, and goes on.
//!
//! The tests share an allocator that fails on demand, and so take turns.

#![cfg(not(heap_loom))]
#![allow(unsafe_code, reason = "an allocator that fails, and the part of a collector")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use heap_core::error::OutOfMemory;
use heap_core::gcbits::PartitionBits;
use heap_core::geometry::{ARENA_SIZE, PAGE_SIZE};
use heap_core::kind::NOSCAN;
use heap_core::mcache::{Cache, Refill};
use heap_core::mheap::{HugePages, MHeap, SpanBatch};
use heap_core::os::{Failure, Reservation, SimOs, SystemOs};
use heap_core::page_alloc::PageAlloc;
use heap_core::partition::Partition;
use heap_core::size_class::SizeClass;
use heap_core::stats::{SweepBy, Tally};
use support::{
    Toy, acquire, ask, before_mark, cache_at, config, large, mark, refill, start_sweep,
    verify_at_rest,
};

const MIB: usize = 1 << 20;

/// Fails one of the allocations of whole chunks of tables (bitmaps, span
/// records), which the heap makes through the fallible interface.
struct FailingChunks;

/// Chunks until the one that fails; negative for never.
static COUNTDOWN: AtomicI64 = AtomicI64::new(-1);
/// Whether no chunk of bitmaps can be had at all.
static NO_BITMAPS: AtomicBool = AtomicBool::new(false);
static SERIAL: Mutex<()> = Mutex::new(());

thread_local! {
    /// Allocations of any size on this thread until the one that fails; negative for
    /// never.
    static ANY: Cell<i64> = const { Cell::new(-1) };
}

/// Runs `body` while the `n`-th allocation fails, counted from 0. Says whether it came
/// to that.
fn with_failing<R>(n: i64, body: impl FnOnce() -> R) -> (R, bool) {
    ANY.set(n);
    let result = body();
    (result, ANY.replace(-1) < 0)
}

/// An arena's reference count. Of the allocations that end the process when they fail
/// (`docs/verification.md` lists them) it is the one that a new heap needs on the way
/// to a slot.
fn is_excepted(layout: Layout) -> bool {
    layout.size() == size_of::<Reservation>() + 2 * size_of::<usize>()
}

/// Bytes of a chunk of bitmaps.
const BITMAPS: usize = 64 << 10;

fn is_chunk(layout: Layout) -> bool {
    let records = 64 * size_of::<heap_core::mspan::Span>();
    layout.size() == BITMAPS || layout.size() == records
}

// SAFETY: forwards to the system's allocator.
unsafe impl GlobalAlloc for FailingChunks {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_chunk(layout)
            && COUNTDOWN.load(Ordering::Relaxed) >= 0
            && COUNTDOWN.fetch_sub(1, Ordering::Relaxed) == 0
        {
            return std::ptr::null_mut();
        }
        let left = ANY.get();
        if left >= 0 && !is_excepted(layout) {
            ANY.set(left - 1);
            if left == 0 {
                return std::ptr::null_mut();
            }
        }
        // SAFETY: forwarded.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        let left = ANY.get();
        if left >= 0 {
            ANY.set(left - 1);
            if left == 0 {
                return std::ptr::null_mut();
            }
        }
        // SAFETY: forwarded.
        unsafe { System.realloc(ptr, layout, bytes) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // Vectors of that size are not zeroed.
        if layout.size() == BITMAPS && NO_BITMAPS.load(Ordering::Relaxed) {
            return std::ptr::null_mut();
        }
        // SAFETY: forwarded.
        let memory = unsafe { self.alloc(layout) };
        if !memory.is_null() {
            // SAFETY: just allocated.
            unsafe { memory.write_bytes(0, layout.size()) };
        }
        memory
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
    let config =
        heap_core::mheap::CoreConfig { huge_pages: HugePages::ObjectsAndMarks, ..config() };
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
    // A system that refuses to take pages back is asked less often.
    let least = if cfg!(windows) { 20 } else { 30 };
    assert!(calls > least, "the workload makes {calls} calls only");
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
    // A refused arena is made up for by a smaller one; a huge object is asked for once
    // more, if there was something to sweep.
    assert!(refused >= 1, "{refused}");
}

#[test]
fn any_one_table_may_not_be_had() {
    let _serial = SERIAL.lock();
    let mut refused = 0;
    for n in 0.. {
        let mut toy = Toy::plain();
        toy.may_keep_dead = true;
        COUNTDOWN.store(n, Ordering::Relaxed);
        refused += workload(&mut toy);
        let left = COUNTDOWN.swap(-1, Ordering::Relaxed);
        toy.may_keep_dead = false;
        after_the_failure(toy);
        if left >= 0 {
            assert!(n > 4, "the workload takes {n} tables only");
            break;
        }
    }
    assert!(refused > 0, "no allocation noticed");
}

/// While there is no memory for bitmaps, spans keep those they have, for any number
/// of cycles, and nobody else is given them (GB1).
#[test]
fn bitmaps_are_kept_while_no_new_ones_can_be_had() {
    let _serial = SERIAL.lock();
    // A bitmap of one word each, and 8191 words to a chunk. Nothing is written to the
    // objects, so they cost no memory.
    const BYTES: usize = 8192;
    let mut toy = Raw::default();
    // One chunk of bitmaps in the first generation, three in the second. When no
    // others can be had the first is enough for some spans, and the rest keep theirs
    // for a second cycle.
    toy.grow(100, BYTES);
    toy.collect();
    toy.grow(20_000, BYTES);
    toy.collect();
    NO_BITMAPS.store(true, Ordering::Relaxed);
    for round in 0..6 {
        let before = toy.heap.counted().freed_objects;
        // The last ones die: those whose spans are swept when nothing is left.
        toy.live.truncate(20_000 - 100 * round);
        toy.collect();
        if round == 0 {
            let after = toy.heap.counted().freed_objects;
            assert_eq!(after, before, "a sweep without a bitmap frees nothing");
        }
        toy.heap.release_idle();
        verify_at_rest(&toy.heap);
    }
    NO_BITMAPS.store(false, Ordering::Relaxed);
    toy.collect();
    let live = toy.heap.counted().live_objects();
    assert_eq!(live, toy.live.len() as u64, "the dead are found in the end");
    for _ in 0..3 {
        toy.live.truncate(toy.live.len() / 2);
        toy.collect();
        toy.grow(100, 16);
    }
}

/// A span is swept by whoever needs it, with a bitmap of their partition. If there is none to be
/// had, it keeps one that may be of another partition, where nothing is amiss (GB1).
#[test]
fn bitmaps_are_kept_while_another_partition_has_no_new_ones() {
    let _serial = SERIAL.lock();
    let bits = PartitionBits::default();
    let [own, other] = [0, 1].map(Partition::of_mutator);
    let (first, end) = bits.at(own).alloc(64).expect("memory").range();
    // SAFETY: one thread.
    let rotate = || unsafe { bits.rotate() };
    rotate();
    for _ in 0..5 {
        NO_BITMAPS.store(true, Ordering::Relaxed);
        assert!(bits.at(other).alloc(64).is_none() && bits.bitmap_alloc_failed());
        NO_BITMAPS.store(false, Ordering::Relaxed);
        rotate();
        let in_use = bits.in_use();
        assert!(in_use.iter().any(|range| range.0 <= first && end <= range.1), "GB1: {in_use:?}");
    }
    (0..3).for_each(|_| rotate());
    assert!(bits.in_use().is_empty() && bits.release_free() > 0);
}

/// The tables that a heap takes from the program's allocator on the way to a slot,
/// down to the smallest: each fails in turn, the caller is told, and the next try
/// succeeds.
#[test]
fn any_one_allocation_on_the_way_to_a_slot_may_fail() {
    let _serial = SERIAL.lock();
    let sizes = [16, 24, 100, 1000, 9000, 30_000];
    let (mut lists, mut spans) = (0, 0);
    for n in 0.. {
        let mut raw = Raw::default();
        let mut came_to_it = false;
        for class in sizes.map(|bytes| SizeClass::for_size(bytes).expect("small")) {
            let (request, failed) =
                with_failing(n, || match ask(&raw.heap, &mut raw.cache, &NOSCAN, class) {
                    Refill::NeedSpans(request) => Some(request),
                    Refill::NoMemory => None,
                    Refill::Slot(_) | Refill::Sampled => panic!("a slot from nowhere"),
                });
            assert_eq!(request.is_none(), failed);
            lists += usize::from(failed);
            came_to_it |= failed;
            let again = match ask(&raw.heap, &mut raw.cache, &NOSCAN, class) {
                Refill::NeedSpans(request) => request,
                _ => panic!("memory has returned"),
            };
            let (mut span, mut tally) = (SpanBatch::new(), Tally::default());
            let (acquired, failed) =
                with_failing(n, || acquire(&raw.heap, again, &mut span, &mut tally));
            assert_eq!(acquired.is_err(), failed);
            spans += usize::from(failed);
            came_to_it |= failed;
            acquired.unwrap_or_else(|reason| {
                assert_eq!(reason, OutOfMemory::System);
                let acquired = acquire(&raw.heap, again, &mut span, &mut tally);
                acquired.expect("memory has returned");
            });
            // SAFETY: what the cache has asked for just now.
            unsafe { raw.cache.install(&NOSCAN, class, &mut span) };
            raw.grow(3, class.object_size());
        }
        raw.collect();
        if !came_to_it {
            break;
        }
    }
    assert!(lists >= 10 && spans >= 4, "{lists} lists and {spans} spans failed");
}

/// The page allocator's own tables.
#[test]
fn an_arena_whose_tables_cannot_be_had_is_not_added() {
    // As many as fit into 32-bit addresses, or more.
    const ARENAS: usize = if cfg!(target_pointer_width = "32") { 60 } else { 100 };
    let _serial = SERIAL.lock();
    let mut pages = PageAlloc::new();
    let mut failures = 0;
    for arena in 0..ARENAS {
        let base = (arena * 37 % ARENAS + 1) * ARENA_SIZE;
        for n in 0.. {
            let before = format!("{pages:?}");
            let (added, failed) = with_failing(n, || pages.try_add_arena(base, 5, 300));
            assert_eq!(added.is_none(), failed);
            pages.check().expect("sound");
            if !failed {
                break;
            }
            failures += 1;
            assert_eq!(format!("{pages:?}"), before, "nothing has changed");
        }
    }
    assert!(failures > ARENAS, "{failures}");
    assert_eq!(pages.free_pages(), ARENAS * 295);
}

/// A heap of plain objects that nobody writes to.
struct Raw {
    heap: MHeap,
    cache: Cache,
    live: Vec<NonNull<u8>>,
}

impl Default for Raw {
    fn default() -> Self {
        let heap = MHeap::new(config(), Box::new(SystemOs));
        Raw { heap, cache: cache_at(Partition::default()), live: Vec::new() }
    }
}

impl Raw {
    fn grow(&mut self, objects: usize, bytes: usize) {
        let class = SizeClass::for_size(bytes).expect("a small object");
        for _ in 0..objects {
            let slot = refill(&self.heap, &mut self.cache, &NOSCAN, class);
            self.live.push(slot.expect("memory"));
        }
    }

    fn collect(&mut self) {
        self.cache.flush(&self.heap);
        before_mark(&self.heap);
        self.live.iter().for_each(|object| mark(*object));
        start_sweep(&self.heap);
        // Before the sweep could write to a recycled bitmap, and after.
        verify_at_rest(&self.heap);
        self.heap.sweep_rest(SweepBy::Collector);
        verify_at_rest(&self.heap);
    }
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
    for bytes in sizes.into_iter().chain((45..63).filter_map(|shift| 1_usize.checked_shl(shift))) {
        let refused = large(&toy.heap, kind, bytes);
        // An overcommitting system may grant 32 TiB of address space; no more.
        assert!(refused.is_err() || bytes as u64 >> 47 == 0, "{bytes:#x}");
        toy.verify();
    }
}

/// The real thing: a limit on the address space of a process of its own.
#[cfg(target_os = "linux")]
#[cfg_attr(heap_asan, ignore = "the sanitizer itself reserves terabytes")]
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
