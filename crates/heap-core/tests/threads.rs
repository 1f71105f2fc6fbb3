//! Mutators, a sweeper and a scavenger at once on one heap; every invariant is
//! checked when they rest.

#![cfg(not(heap_loom))]
#![allow(unsafe_code, reason = "plays the part of the collector")]

mod support;

use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use heap_core::alloc_class::{Slot, for_sized};
use heap_core::geometry::ARENA_SIZE;
use heap_core::kind::{NOSCAN, ObjectKind};
use heap_core::mcache::Cache;
use heap_core::mheap::{CoreConfig, HugePages, MHeap};
use heap_core::os::SimOs;
use heap_core::partition::Partition;
use heap_core::stats::SweepBy;
use support::{before_mark, cache_at, large, mark, refill, slot, start_sweep, verify_at_rest};

const MUTATORS: usize = 3;

static DROPPED: AtomicUsize = AtomicUsize::new(0);
// SAFETY: there are no handles; the destructor reads nothing.
static COUNTED: ObjectKind = unsafe { ObjectKind::new(|| "counted", None, None, Some(count_drop)) };

fn count_drop(_object: NonNull<u8>) {
    DROPPED.fetch_add(1, Ordering::Relaxed);
}

/// One mutator: its cache, its objects, and a source of randomness.
struct Mutator {
    cache: Cache,
    objects: Vec<(NonNull<u8>, usize, u8)>,
    seed: u64,
    counted: usize,
}

// SAFETY: the objects are this mutator's own.
unsafe impl Send for Mutator {}

impl Mutator {
    fn random(&mut self, below: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as usize % below
    }

    fn alloc(&mut self, heap: &MHeap) {
        let bytes = match self.random(2000) {
            0 => ARENA_SIZE + self.random(1 << 20),
            1..20 => 33_000 + self.random(1 << 20),
            20..200 => 1000 + self.random(30_000),
            _ => 16 + self.random(500),
        };
        let kind = if self.random(3) == 0 { &COUNTED } else { &NOSCAN };
        self.counted += usize::from(kind.drops());
        let object = match for_sized(bytes, 8) {
            Slot::Large => large(heap, kind, bytes).expect("memory"),
            Slot::Small(class) => match slot(&mut self.cache, kind, class) {
                Some(slot) => slot,
                None => refill(heap, &mut self.cache, kind, class).expect("memory"),
            },
        };
        let tag = self.random(255) as u8 + 1;
        let checked = bytes.min(4096);
        // SAFETY: the object is ours, and large enough.
        unsafe { object.write_bytes(tag, checked) };
        self.objects.push((object, checked, tag));
        if self.objects.len() > 500 {
            let which = self.random(self.objects.len());
            self.objects.swap_remove(which);
        }
    }

    fn check(&self) {
        for &(object, bytes, tag) in &self.objects {
            // SAFETY: a live object that was filled.
            let contents = unsafe { std::slice::from_raw_parts(object.as_ptr(), bytes) };
            assert!(contents.iter().all(|&byte| byte == tag), "an object was overwritten");
        }
    }
}

#[test]
fn mutators_sweepers_and_scavengers_do_not_meet() {
    let os = SimOs::new();
    let config = CoreConfig { max_bytes: None, huge_pages: HugePages::Never, poison: true };
    let heap = MHeap::new(config, Box::new(os.clone()));
    heap.set_partitions(MUTATORS);
    let mut mutators: Vec<Mutator> = (1..=MUTATORS as u64)
        .map(|seed| Mutator {
            cache: cache_at(Partition::of_mutator(seed as usize)),
            objects: Vec::new(),
            seed: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15),
            counted: 0,
        })
        .collect();
    for _ in 0..8 {
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for mutator in &mut mutators {
                threads.push(scope.spawn(|| {
                    (0..3000).for_each(|_| mutator.alloc(&heap));
                    mutator.check();
                }));
            }
            threads.push(scope.spawn(|| heap.sweep_rest(SweepBy::Background)));
            threads.push(scope.spawn(|| {
                for i in 0..40 {
                    heap.set_partitions(i % MUTATORS + 1);
                    match i % 4 {
                        0 => heap.release_idle(),
                        1 => heap.trim(1 << 20),
                        _ => heap.scavenge(i << 18),
                    };
                    let memory = heap.memory();
                    assert!(memory.adds_up(), "Z2: {memory:?}");
                    std::thread::yield_now();
                }
            }));
            // By hand: ThreadSanitizer sees a join, but not the end of a scope.
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        // At rest: check, and mark what lives.
        for mutator in &mut mutators {
            mutator.cache.flush(&heap);
        }
        heap.sweep_rest(SweepBy::Collector);
        verify_at_rest(&heap);
        mutators.iter().for_each(Mutator::check);
        before_mark(&heap);
        for (object, ..) in mutators.iter().flat_map(|mutator| &mutator.objects) {
            mark(*object);
        }
        start_sweep(&heap);
    }
    let counted: usize = mutators.iter().map(|mutator| mutator.counted).sum();
    drop(heap);
    assert_eq!(DROPPED.load(Ordering::Relaxed), counted, "each object is dropped once");
    assert_eq!(os.reserved(), 0);
}
