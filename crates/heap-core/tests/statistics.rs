//! Statistics that add up, also while others run.

#![cfg(not(heap_loom))]
#![allow(unsafe_code, reason = "plays the part of the collector")]

mod support;

use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use heap_core::alloc_class::{Slot, for_sized};
use heap_core::geometry::ARENA_SIZE;
use heap_core::kind::{NOSCAN, ObjectKind};
use heap_core::mcache::Cache;
use heap_core::mheap::{HeapUsage, MHeap};
use heap_core::os::SimOs;
use heap_core::partition::Partition;
use heap_core::size_class::SizeClass;
use heap_core::stats::{Counted, SweepBy};
use support::{
    KINDS, Toy, before_mark, cache_at, large, mark, refill, start_sweep, verify_at_rest,
};

/// Totals never go back, whatever the moment.
fn assert_grown(before: &HashMap<(usize, usize), Counted>, now: &HeapUsage) {
    for row in &now.rows {
        let key = (row.kind.address(), row.class.index());
        let Some(old) = before.get(&key) else { continue };
        assert!(
            row.allocated_objects >= old.allocated_objects
                && row.allocated_bytes >= old.allocated_bytes
                && row.freed_objects >= old.freed_objects
                && row.freed_bytes >= old.freed_bytes,
            "{row:?} was {old:?}"
        );
    }
}

fn by_key(usage: &HeapUsage) -> HashMap<(usize, usize), Counted> {
    let key = |row: &heap_core::mheap::ClassRow| (row.kind.address(), row.class.index());
    usage.rows.iter().map(|row| (key(row), row.objects)).collect()
}

/// Each sum in its own way: from the rows, from a walk over all spans, and from what
/// the test itself knows.
#[test]
fn the_rows_equal_a_recount_by_kind_and_by_class() {
    let mut toy = Toy::plain();
    let sizes = [16, 24, 100, 2000, 30_000, 100_000, ARENA_SIZE];
    let mut made = 0;
    for round in 1..6 {
        for i in 0..60 * round {
            toy.alloc(0, i % KINDS.len(), sizes[i % (sizes.len() - 1)]).expect("memory");
        }
        made += 60 * round + 1;
        toy.alloc(0, round % KINDS.len(), ARENA_SIZE).expect("memory");
        toy.kill_every(round);
        toy.collect_fully();
        toy.verify_flushed();
        let usage = toy.heap.usage();
        assert!(usage.adds_up(), "{usage:?}");
        // SAFETY: one thread, the caches are flushed.
        let class_histogram = unsafe { toy.heap.class_histogram() };
        let live = |rows: &mut dyn Iterator<Item = &heap_core::mheap::ClassRow>| {
            rows.fold((0, 0), |sum, row| (sum.0 + row.live_objects(), sum.1 + row.live_bytes()))
        };
        for (i, kind) in KINDS.iter().enumerate() {
            let known = toy.live.values().filter(|(_, object)| object.kind == i).count();
            let (objects, bytes) = live(&mut usage.of_kind(kind));
            assert_eq!(objects, known as u64);
            let name = kind.name();
            let walked: usize =
                class_histogram.iter().filter(|row| row.kind == name).map(|row| row.bytes).sum();
            assert_eq!(bytes, walked as u64, "{name}");
        }
        for class in SizeClass::all() {
            let (objects, bytes) = live(&mut usage.of_class(class));
            let walked = class_histogram.iter().filter(|row| row.class == class);
            let walked = walked.fold((0, 0), |sum, row| (sum.0 + row.objects, sum.1 + row.bytes));
            assert_eq!((objects, bytes), (walked.0 as u64, walked.1 as u64), "{class:?}");
        }
        let total = usage.total();
        assert_eq!(total, toy.heap.counted());
        assert_eq!(total.allocated_objects, made as u64);
        assert_eq!(total.live_objects(), toy.live.len() as u64);
    }
    toy.finish();
}

// SAFETY: there are no handles; the destructor reads nothing.
static SCANNED: ObjectKind = unsafe { ObjectKind::new(|| "dropped", None, None, Some(nothing)) };

fn nothing(_object: NonNull<u8>) {}

/// Allocates from a heap, and forgets most of it.
struct Mutator {
    cache: Cache,
    kept: Vec<NonNull<u8>>,
    seed: u64,
}

// SAFETY: the objects are this mutator's own.
unsafe impl Send for Mutator {}

impl Mutator {
    fn alloc(&mut self, heap: &MHeap) {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let random = (self.seed >> 33) as usize;
        let bytes = match random % 1000 {
            // With 32-bit addresses there would soon be no room.
            0 if cfg!(not(target_pointer_width = "32")) => ARENA_SIZE,
            1..30 => 33_000 + random % 300_000,
            _ => 16 << (random % 9),
        };
        let kind = if random.is_multiple_of(3) { &SCANNED } else { &NOSCAN };
        let object = match for_sized(bytes, 8) {
            Slot::Large => large(heap, kind, bytes).expect("memory"),
            Slot::Small(class) => refill(heap, &mut self.cache, kind, class).expect("memory"),
        };
        if random.is_multiple_of(5) {
            self.kept.push(object);
        }
    }
}

/// While mutators allocate, a sweeper sweeps and a scavenger gives back, every sample
/// adds up; and when all are at rest the last one equals a recount.
#[test]
fn every_sample_adds_up_while_others_run() {
    let os = SimOs::new();
    let heap = MHeap::new(support::config(), Box::new(os.clone()));
    let mut mutators: Vec<Mutator> = (1..=3)
        .map(|seed| Mutator { cache: cache_at(Partition::default()), kept: Vec::new(), seed })
        .collect();
    let samples = AtomicUsize::new(0);
    for _ in 0..6 {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let sampler = scope.spawn(|| {
                let mut before = HashMap::new();
                while !stop.load(Ordering::Relaxed) {
                    let usage = heap.usage();
                    assert!(usage.adds_up(), "{usage:?}");
                    assert_grown(&before, &usage);
                    before = by_key(&usage);
                    samples.fetch_add(1, Ordering::Relaxed);
                    std::thread::yield_now();
                }
            });
            let workers: Vec<_> = mutators
                .iter_mut()
                .map(|mutator| {
                    let heap = &heap;
                    scope.spawn(move || (0..6000).for_each(|_| mutator.alloc(heap)))
                })
                .collect();
            let sweeper = scope.spawn(|| heap.sweep_rest(SweepBy::Background));
            let scavenger = scope.spawn(|| {
                for i in 0..20 {
                    heap.scavenge(i << 18);
                    heap.release_idle();
                }
            });
            let panicked = workers
                .into_iter()
                .chain([sweeper, scavenger])
                .map(std::thread::ScopedJoinHandle::join)
                .any(|result| result.is_err());
            stop.store(true, Ordering::Relaxed);
            assert!(sampler.join().is_ok() && !panicked);
        });
        for mutator in &mut mutators {
            mutator.cache.flush(&heap);
        }
        heap.sweep_rest(SweepBy::Collector);
        // Z3, Z4: the rows equal a recount.
        verify_at_rest(&heap);
        before_mark(&heap);
        for mutator in &mut mutators {
            let half = mutator.kept.len() / 2;
            mutator.kept.drain(..half);
            mutator.kept.iter().for_each(|object| mark(*object));
        }
        start_sweep(&heap);
    }
    let samples = samples.into_inner();
    // How many there are depends on how busy the machine is; each was checked.
    assert!(samples > 0, "nobody looked");
}
