//! Statistics are consistent, equal a recount, and stop nobody.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use heap_api::{Config, GcCell, Heap, Trace};

#[derive(Trace)]
struct Node<'gc> {
    id: u64,
    next: GcCell<Option<heap_api::Gc<'gc, Node<'gc>>>>,
}

/// A mutator that stays inside, and so could not be stopped, does not hold a sample up.
#[test]
fn a_sample_waits_for_nobody() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let objects = 10_000;
    for i in 0..objects {
        let _ = cx.alloc([i; 8]);
    }
    let (sender, receiver) = channel();
    let sampler = {
        let heap = heap.clone();
        std::thread::spawn(move || {
            for _ in 0..1000 {
                let usage = heap.usage();
                assert!(usage.adds_up(), "{usage:?}");
            }
            sender.send(heap.usage()).unwrap();
        })
    };
    let usage = receiver.recv_timeout(Duration::from_secs(60)).expect("somebody was waited for");
    sampler.join().unwrap();
    // All but what is in the span that is still in use.
    let counted = usage.total().allocated_objects;
    assert!(counted <= objects && counted >= objects - 128, "{counted}");
    drop(cx);
    assert_eq!(heap.usage().total().allocated_objects, objects);
}

#[test]
fn samples_of_a_running_heap_add_up() {
    let config = Config::new().background_sweep(true).mark_threads(1).min_heap_bytes(1 << 18);
    let heap = Heap::new(config);
    let (done, samples, recounts) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let enough = || samples.load(Ordering::Relaxed) > 500 && recounts.load(Ordering::Relaxed) > 300;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let (heap, enough) = (&heap, &enough);
                scope.spawn(move || {
                    let mut cx = heap.enter();
                    let mut head = cx.root(cx.alloc(Node { id: 0, next: GcCell::new(None) }));
                    for i in
                        (0_u64..20_000_000).take_while(|i| !i.is_multiple_of(1000) || !enough())
                    {
                        let next = (i % 1000 != 0).then(|| head.get(&cx));
                        let node = cx.alloc(Node { id: i, next: GcCell::new(next) });
                        head = cx.root(node);
                        if i % 64 == worker {
                            let _ = cx.alloc_slice_fn(i as usize % 50_000, |i| i as u8);
                        }
                        cx.safepoint();
                    }
                    assert!(head.get(&cx).id >= 999);
                })
            })
            .collect();
        scope.spawn(|| {
            let mut last = heap.usage().total();
            while !done.load(Ordering::Relaxed) {
                let usage = heap.usage();
                assert!(usage.adds_up(), "{usage:?}");
                let total = usage.total();
                assert!(total.allocated_objects >= last.allocated_objects);
                assert!(total.freed_bytes >= last.freed_bytes);
                let memory = usage.memory;
                let parts = memory.in_use + memory.idle + memory.released + memory.heads;
                assert_eq!(memory.mapped, parts);
                last = total;
                samples.fetch_add(1, Ordering::Relaxed);
                std::thread::yield_now();
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    heap.release_idle();
                }
            });
        }
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // At a moment of rest the statistics equal a recount: Z2 to Z4.
                heap.verify().unwrap();
                recounts.fetch_add(1, Ordering::Relaxed);
            }
        });
        let panicked = workers.into_iter().map(|worker| worker.join()).any(|r| r.is_err());
        done.store(true, Ordering::Relaxed);
        assert!(!panicked);
    });
    heap.verify().unwrap();
    let (usage, stats) = (heap.usage(), heap.stats());
    let total = usage.total();
    assert_eq!(total.allocated_objects, stats.allocated_objects);
    assert_eq!(total.freed_bytes, stats.freed_bytes);
    // By kind and class, the walk over all spans says the same.
    let class_histogram = heap.class_histogram().unwrap();
    for row in &usage.rows {
        let walked: usize = class_histogram
            .iter()
            .filter(|other| other.kind == row.kind_name() && other.class == row.class)
            .map(|other| other.objects)
            .sum();
        let same = usage.of_class(row.class).filter(|r| r.kind_name() == row.kind_name());
        let live: u64 = same.map(|row| row.live_objects()).sum();
        assert_eq!(live, walked as u64, "{row:?}");
    }
}

#[test]
fn who_looks_for_spans_sweeps_them_and_pays_little_more() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    // All is garbage: each cycle has as many spans to sweep as the next needs.
    while heap.stats().collections < 20 {
        for i in 0..1000_u64 {
            cx.alloc([i, i]);
        }
        cx.safepoint();
    }
    let stats = heap.stats();
    let (by_allocation, by_credit) = (stats.pages_swept_by_allocation, stats.pages_swept_by_credit);
    assert!(by_allocation > 4000, "{by_allocation}");
    assert!(by_credit * 64 < by_allocation, "{by_credit} for credit, {by_allocation} not");
}

#[test]
fn who_allocates_something_else_pays_for_it_by_sweeping() {
    let heap = Heap::new(Config::new().min_heap_bytes(8 << 20));
    let mut cx = heap.enter();
    for i in 0..(3 << 20) / 32 {
        cx.alloc([i as u64; 4]);
    }
    let pages = heap.stats().heap_bytes / 8192;
    cx.collect();
    let before = heap.stats();
    // Half of the way to the next collection, without a safepoint.
    for i in 0..before.trigger_bytes / 2 / 64 {
        cx.alloc([i; 8]);
    }
    let swept = heap.stats().pages_swept_by_credit - before.pages_swept_by_credit;
    assert!(swept >= pages * 2 / 5, "{swept} of {pages} pages");
}

/// What a program waits for at a safepoint is counted, whatever it is.
#[test]
fn safepoints_are_timed() {
    #[derive(heap_api::Trace)]
    #[trace(leaf)]
    struct Slow;
    impl Drop for Slow {
        fn drop(&mut self) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    assert_eq!((heap.safepoint_times().count(), heap.safepoint_times().max()), (0, Duration::ZERO));
    cx.safepoint();
    assert_eq!(heap.safepoint_times().count(), 0, "nothing was to be done");
    cx.collect();
    while !cx.collect_step() {}
    let before = heap.safepoint_times();
    assert!(before.count() >= 2);
    cx.alloc(Slow);
    heap.request_collection();
    cx.safepoint();
    let after = heap.safepoint_times();
    assert_eq!(after.count(), before.count() + 1);
    assert!(after.max() >= Duration::from_millis(20), "a destructor counts: {:?}", after.max());
    assert!(after.quantile(1.0) == after.max() && after.total() >= after.max());
    // Those of other threads count as well.
    let waited = cx.park(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut cx = heap.enter();
                (0..5).for_each(|_| _ = cx.alloc(Slow));
                cx.collect();
            });
        });
        heap.safepoint_times().max()
    });
    assert!(waited >= Duration::from_millis(100));
}

/// [`heap_api::Cx::live_bytes`] counts slots, not regions: it agrees with what the heap counts once the
/// context has given its spans back.
#[test]
fn a_context_knows_what_it_has_allocated() {
    let config = Config::new().min_heap_bytes(1 << 30);
    for seed in 0..20_u64 {
        let heap = Heap::new(config.clone());
        let mut random = seed;
        let mut before = 0;
        for round in 0..10 {
            let cx = heap.enter();
            assert_eq!(cx.live_bytes() as u64, before, "seed {seed}, round {round}");
            for _ in 0..200 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let len = (random >> 33) as usize;
                match random >> 61 {
                    0 => _ = cx.alloc(Node { id: random, next: GcCell::new(None) }),
                    1 => _ = cx.alloc(random as u8),
                    2 => _ = cx.alloc(Box::new(random)),
                    3 if len.is_multiple_of(50) => {
                        _ = cx.alloc_slice_fn(len % 100_000, |i| i as u8);
                    }
                    _ => _ = cx.alloc_slice_fn(len % 40, |i| i as u64),
                }
            }
            let live = cx.live_bytes() as u64;
            drop(cx);
            before = heap.stats().allocated_bytes;
            assert_eq!(live, before, "seed {seed}, round {round}");
        }
        let mut cx = heap.enter();
        cx.collect();
        assert_eq!(cx.live_bytes(), 0, "seed {seed}: nothing is rooted");
    }
}
