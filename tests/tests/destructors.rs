//! When destructors run: at safepoints, not in between; in steps if the collection is in steps; on
//! the thread that made a value, if it must be.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::ThreadId;
use std::time::Duration;

use heap_api::{Config, Cx, Heap, LocalOpaque, OutOfMemory, Trace};
use heap_tests::{few_under_miri, verify};

/// What destructors have met.
#[derive(Default)]
struct Seen {
    lock: Mutex<()>,
    dropped: AtomicU64,
    locked_out: AtomicU64,
}

impl Seen {
    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Takes a lock of the program's when it is dropped.
#[derive(Trace)]
#[trace(leaf)]
struct Wants(Arc<Seen>);

impl Drop for Wants {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
        if self.0.lock.try_lock().is_err() {
            self.0.locked_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn configs() -> [Config; 4] {
    let slices = |slice| Config::new().mark_slice(slice);
    let small = Config::new().min_heap_bytes(256 << 10);
    [Config::new(), small, slices(Duration::ZERO), slices(Duration::from_micros(200))]
}

#[test]
fn no_destructor_runs_between_two_safepoints() {
    for config in configs() {
        let heap = Heap::new(config);
        let seen = Arc::new(Seen::default());
        let mut cx = heap.enter();
        let mut made = 0;
        for _ in 0..100 {
            let held = seen.lock.lock().unwrap();
            let before = seen.dropped();
            for i in 0..2000_u64 {
                // Of the same kind, of others, and large; all of them sweep.
                let _ = (cx.alloc(Wants(Arc::clone(&seen))), cx.alloc([i; 5]));
                if i % 100 == 0 {
                    let _ = (cx.alloc([i; 5000]), cx.try_stack_block(40_000).map(drop));
                    made += 1;
                    cx.alloc((Wants(Arc::clone(&seen)), [i; 5000]));
                }
                made += 1;
            }
            heap.release_idle();
            assert_eq!(seen.dropped(), before);
            drop(held);
            cx.safepoint();
        }
        assert!(heap.stats().collections > 2 && seen.dropped() > 0);
        cx.collect();
        assert_eq!(seen.dropped(), made, "CY3: a whole collection has run them");
        assert_eq!(seen.locked_out.load(Ordering::Relaxed), 0);
        assert_eq!(heap.stats().undropped_bytes, 0);
        cx.verify().unwrap();
    }
}

#[test]
fn a_collection_in_steps_runs_destructors_in_steps() {
    // Room for a step every 64 KiB, so that none is late.
    let heap = Heap::new(Config::new().mark_slice(Duration::ZERO).min_heap_bytes(64 << 20));
    let seen = Arc::new(Seen::default());
    let mut cx = heap.enter();
    let made = 100_000;
    (0..made).for_each(|_| _ = cx.alloc(Wants(Arc::clone(&seen))));
    while !cx.collect_step() {}
    assert_eq!(seen.dropped(), 0, "they are dead, and wait");
    let waiting = heap.stats().undropped_bytes;
    assert!(waiting >= made * size_of::<Wants>() as u64);
    let per_span = (8192 / size_of::<Wants>()) as u64;
    let mut steps = 0;
    while heap.stats().undropped_bytes > 0 {
        let before = seen.dropped();
        assert!(!cx.collect_step() || heap.stats().undropped_bytes == 0);
        let dropped = seen.dropped() - before;
        assert!(dropped > 0 && dropped <= per_span, "a span is the unit: {dropped}");
        steps += 1;
    }
    assert!(steps > 100, "{steps}");
    assert_eq!(seen.dropped(), made);
    // By themselves, when the program allocates.
    let seen = Arc::new(Seen::default());
    (0..made).for_each(|_| _ = cx.alloc(Wants(Arc::clone(&seen))));
    while !cx.collect_step() {}
    let collections = heap.stats().collections;
    let mut most = 0;
    while seen.dropped() < made {
        let before = seen.dropped();
        for i in 0..100_u64 {
            let _ = cx.alloc([i; 6]);
        }
        cx.safepoint();
        most = most.max(seen.dropped() - before);
    }
    assert!(most <= 4 * per_span, "{most}");
    assert!(heap.stats().collections <= collections + 1);
    cx.verify().unwrap();
}

#[test]
fn a_heap_at_its_limit_drops_at_the_next_safepoint() {
    for slice in [None, Some(Duration::ZERO)] {
        let mut config = Config::new().max_heap_bytes(4 << 20);
        if let Some(slice) = slice {
            config = config.mark_slice(slice);
        }
        let heap = Heap::new(config);
        let seen = Arc::new(Seen::default());
        let mut cx = heap.enter();
        for _ in 0..20 {
            while let Ok(object) = cx.try_alloc((Wants(Arc::clone(&seen)), [0_u64; 30])) {
                assert_eq!(object.1[0], 0);
            }
            let error = cx.try_alloc([1_u8; 100_000]).unwrap_err();
            assert_eq!(error.reason, OutOfMemory::Limit);
            cx.safepoint();
            assert!(cx.try_alloc(error.value).is_ok());
        }
        cx.verify().unwrap();
    }
}

#[test]
fn giving_memory_back_runs_destructors_outside_only() {
    let heap = Heap::new(Config::new().mark_slice(Duration::ZERO));
    let seen = Arc::new(Seen::default());
    let mut cx = heap.enter();
    (0..10_000).for_each(|_| _ = cx.alloc(Wants(Arc::clone(&seen))));
    while !cx.collect_step() {}
    heap.release_idle();
    assert_eq!(seen.dropped(), 0);
    cx.park(|| heap.release_idle());
    assert_eq!(seen.dropped(), 10_000);
    // No step is due any more for what it has dropped.
    let steps = heap.stats().steps;
    for _ in 0..10_000 {
        cx.alloc([0_u64; 6]);
        cx.safepoint();
    }
    assert_eq!(heap.stats().steps, steps);
}

/// Notes on which thread it is dropped.
struct Note(Rc<RefCell<Vec<ThreadId>>>, Arc<AtomicUsize>);

impl Drop for Note {
    fn drop(&mut self) {
        self.0.borrow_mut().push(std::thread::current().id());
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

/// Local values that [`make`] makes.
const LOCALS: usize = few_under_miri(1000, 20);

fn make(cx: &Cx, notes: &Rc<RefCell<Vec<ThreadId>>>, count: &Arc<AtomicUsize>) {
    for _ in 0..LOCALS {
        cx.alloc(LocalOpaque::new(Note(Rc::clone(notes), Arc::clone(count))));
    }
}

#[test]
fn a_local_value_is_dropped_on_its_own_thread() {
    for config in [Config::new(), Config::new().background_sweep(true)] {
        let heap = Heap::new(config);
        let mut cx = heap.enter();
        let (notes, count) = (Rc::default(), Arc::default());
        make(&cx, &notes, &count);
        // Found dead by another thread, or two.
        cx.park(|| {
            std::thread::scope(|scope| scope.spawn(|| heap.enter().collect()).join().unwrap());
        });
        for _ in 0..1000 {
            if count.load(Ordering::Relaxed) == LOCALS {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
            heap.request_collection();
            cx.safepoint();
        }
        let me = std::thread::current().id();
        assert_eq!(*notes.borrow(), vec![me; LOCALS], "LO1");
    }
}

#[test]
fn local_values_of_a_thread_that_ends() {
    let heap = Heap::new(Config::new());
    let count = Arc::new(AtomicUsize::new(0));
    let (send, receive) = mpsc::channel::<()>();
    let owner = std::thread::spawn({
        let (heap, count) = (heap.clone(), Arc::clone(&count));
        move || {
            make(&heap.enter(), &Rc::default(), &count);
            // Dropped by the other thread's collection: they wait here until we end.
            receive.recv().unwrap();
        }
    });
    while heap.stats().allocated_objects < LOCALS as u64 {
        std::thread::yield_now();
    }
    heap.enter().collect();
    let before = count.load(Ordering::Relaxed);
    send.send(()).unwrap();
    owner.join().unwrap();
    assert_eq!((before, count.load(Ordering::Relaxed)), (0, LOCALS), "LO1");
    // Those that are found dead later are leaked (LO2), also when the heap goes.
    std::thread::scope(|scope| {
        scope.spawn(|| make(&heap.enter(), &Rc::default(), &count)).join().unwrap();
    });
    heap.enter().collect();
    std::thread::scope(|scope| {
        scope.spawn(|| make(&heap.enter(), &Rc::default(), &count)).join().unwrap();
    });
    drop(heap);
    assert_eq!(count.load(Ordering::Relaxed), LOCALS);
}

#[test]
fn a_local_value_whose_destructor_panics_or_collects_does_no_harm() {
    struct Bad(Rc<RefCell<u32>>);
    impl Drop for Bad {
        fn drop(&mut self) {
            *self.0.borrow_mut() += 1;
            panic!("in a destructor");
        }
    }
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let count = Rc::new(RefCell::new(0));
    let make = |cx: &Cx| {
        for _ in 0..10 {
            let _ = cx.alloc(LocalOpaque::new(Bad(Rc::clone(&count))));
        }
    };
    make(&cx);
    cx.collect();
    assert_eq!(*count.borrow(), 10);
    make(&cx);
    cx.park(|| {
        std::thread::scope(|scope| scope.spawn(|| heap.enter().collect()).join().unwrap());
    });
    cx.collect();
    assert_eq!(*count.borrow(), 20);
    verify(&mut cx);
}

#[test]
fn a_collection_that_drops_has_dropped_whoever_sweeps() {
    let slices = Config::new().mark_slice(Duration::ZERO);
    for config in configs()
        .into_iter()
        .chain([Config::new().background_sweep(true), slices.background_sweep(true)])
    {
        let heap = Heap::new(config);
        let seen = Arc::new(Seen::default());
        let mut cx = heap.enter();
        for round in 1..=20 {
            (0..2000).for_each(|_| _ = cx.alloc(Wants(Arc::clone(&seen))));
            // In the middle of a mark phase or of the sweep, too.
            if round % 3 == 0 {
                let _ = cx.collect_step();
            }
            cx.collect_and_drop();
            assert_eq!(seen.dropped(), round * 2000);
        }
        cx.verify().unwrap();
    }
}
