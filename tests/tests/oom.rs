//! Running out of memory: every allocation function gives back what it was
//! given, the heap stays whole, and work goes on once there is room.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use heap_api::{Config, Cx, Gc, GcCell, Heap, Opaque, OutOfMemory, Root, Trace};
use heap_tests::{Counted, Counter, catch};

/// From nothing to a little; also odd numbers.
const LIMITS: [usize; 12] =
    [0, 1, 4095, 8191, 8192, 8193, 16 << 10, 20_000, 40 << 10, 64 << 10, 200_000, 1 << 20];

fn heap(limit: usize) -> Heap {
    Heap::new(Config::new().max_heap_bytes(limit))
}

#[derive(Trace)]
struct Link<'gc> {
    counted: Opaque<Counted>,
    next: Option<Gc<'gc, Link<'gc>>>,
}

#[test]
fn every_function_gives_its_value_back() {
    for limit in LIMITS {
        for stress in [false, true] {
            let heap = Heap::new(Config::new().max_heap_bytes(limit).stress(stress));
            let counter = Counter::new();
            let mut cx = heap.enter();
            exhaust(&cx, &counter);
            assert!(heap.stats().heap_bytes <= limit as u64);
            cx.verify().unwrap();
            // Nobody kept anything: the next collection makes room for the same.
            for _ in 0..3 {
                cx.collect();
                exhaust(&cx, &counter);
                cx.verify().unwrap();
            }
            drop(cx);
            drop(heap);
            counter.assert_balanced();
        }
    }
}

/// Calls each function until it is refused.
fn exhaust(cx: &Cx, counter: &std::sync::Arc<Counter>) {
    let refused = |reason| assert_eq!(reason, OutOfMemory::Limit);
    for id in 0.. {
        if let Err(error) = cx.try_alloc(counter.value(id)) {
            refused(error.reason);
            assert_eq!(error.value.id(), id);
            assert_eq!(error.to_string(), "the heap's memory limit is reached");
            break;
        }
    }
    let mut last = None;
    for id in 0.. {
        match cx.try_alloc(Link { counted: Opaque(counter.value(id)), next: last }) {
            Ok(link) => last = Some(link),
            Err(error) => {
                refused(error.reason);
                assert_eq!(error.value.counted.0.id(), id);
                // What was there before is as it was.
                let mut id = id;
                let mut link = error.value.next;
                while let Some(this) = link {
                    id -= 1;
                    assert_eq!(this.counted.0.id(), id);
                    link = this.next;
                }
                assert_eq!(id, 0);
                break;
            }
        }
    }
    let text = "x".repeat(100);
    let error = (0..).find_map(|_| cx.try_alloc_str(&text).err()).unwrap();
    refused(error.reason);
    let error = (0..).find_map(|_| cx.try_alloc_slice_copy(&[1_u16; 33]).err()).unwrap();
    refused(error.reason);
    let error = (0..).find_map(|_| {
        let mut made = 0;
        let result = cx.try_alloc_slice_fn(9, |i| {
            made += 1;
            counter.value(i as u64)
        });
        assert_eq!(made, if result.is_ok() { 9 } else { 0 }, "nothing is made in vain");
        result.err()
    });
    refused(error.unwrap().reason);
    let error =
        (0..).find_map(|id| cx.try_alloc_header_slice_copy(counter.value(id), &[0_u64; 20]).err());
    let error = error.unwrap();
    refused(error.reason);
    let _ = error.value.id();
    let error = (0..).find_map(|id| {
        cx.try_alloc_header_slice_fn(counter.value(id), 5, |i| counter.value(i as u64)).err()
    });
    let error = error.unwrap();
    refused(error.reason);
    let _ = error.value.id();
    refused(error.without_value().reason);
    // Large objects, by value and by length.
    let error = (0..).find_map(|_| cx.try_alloc([7_u8; 40_000]).err()).unwrap();
    refused(error.reason);
    assert!(error.value.iter().all(|byte| *byte == 7));
    let error = (0..).find_map(|_| cx.try_alloc_slice_fn(50_000, |i| i).err()).unwrap();
    refused(error.reason);
}

#[test]
fn the_convenient_functions_panic_and_drop_their_values() {
    for limit in [0, 8192, 64 << 10] {
        let heap = heap(limit);
        let counter = Counter::new();
        let mut cx = heap.enter();
        let says = |result: Result<(), String>| {
            assert!(result.unwrap_err().contains("the heap's memory limit is reached"));
        };
        says(catch(|| {
            loop {
                let _ = cx.alloc(counter.value(1));
            }
        }));
        says(catch(|| {
            loop {
                let _ = cx.alloc_str("some text that takes room");
            }
        }));
        says(catch(|| {
            loop {
                let _ = cx.alloc_slice_fn(3, |i| counter.value(i as u64));
            }
        }));
        says(catch(|| {
            loop {
                let _ = cx.alloc_slice_copy(&[1.5_f64; 7]);
            }
        }));
        says(catch(|| {
            loop {
                let _ = cx.alloc_header_slice_copy(counter.value(1), b"tail");
            }
        }));
        cx.verify().unwrap();
        drop(cx);
        drop(heap);
        counter.assert_balanced();
    }
}

#[test]
fn a_refusal_asks_for_a_collection_that_makes_room() {
    let heap = heap(256 << 10);
    let mut cx = heap.enter();
    let mut fewest = usize::MAX;
    let mut first = 0;
    for round in 0..30 {
        let mut made = 0;
        while cx.try_alloc([made; 5]).is_ok() {
            made += 1;
        }
        assert!(cx.should_yield());
        let before = heap.stats().collections;
        cx.safepoint();
        assert_eq!(heap.stats().collections, before + 1);
        if round == 0 {
            first = made;
        }
        fewest = fewest.min(made);
    }
    assert!(first > 4000, "{first}");
    assert!(fewest >= first, "round after round the same: {fewest} of {first}");
}

#[test]
fn work_goes_on_when_roots_are_dropped() {
    for limit in LIMITS.into_iter().filter(|limit| *limit >= 64 << 10) {
        let heap = heap(limit);
        let mut cx = heap.enter();
        for round in 0..10_u64 {
            // Fill it up with objects of different sizes, all rooted.
            let mut roots: Vec<Root<[GcCell<u64>]>> = Vec::new();
            while let Ok(slice) =
                cx.try_alloc_slice_fn(1 << (roots.len() % 9), |i| GcCell::new(round + i as u64))
            {
                roots.push(cx.root(slice));
            }
            cx.collect();
            assert!(cx.try_alloc_slice_fn(4000, |i| i).is_err() || limit > 1 << 19, "{limit}");
            for (n, root) in roots.iter().enumerate() {
                let slice = root.get(&cx);
                assert_eq!(slice.len(), 1 << (n % 9));
                assert!((0..).zip(slice.as_ref()).all(|(i, slot)| slot.get() == round + i));
            }
            let full = roots.len();
            // Half the roots gone: about half the room is back, for the same sizes.
            for n in (0..full).rev().filter(|n| n / 9 % 2 == 0) {
                roots.swap_remove(n);
            }
            cx.collect();
            cx.verify().unwrap();
            let mut again = 0;
            while cx.try_alloc_slice_fn(1 << (again % 9), |i| i).is_ok() {
                again += 1;
            }
            assert!(again * 4 >= full, "{again} of {full} at {limit}");
            drop(roots);
            cx.collect();
        }
    }
}

#[test]
fn mutators_at_the_limit_do_not_harm_each_other() {
    let heap = heap(2 << 20);
    let counter = Counter::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut cx = heap.enter();
                let mut roots: Vec<Root<Link<'static>>> = Vec::new();
                for id in 0..20_000 {
                    let next = roots.last().map(|root| root.get(&cx));
                    match cx.try_alloc(Link { counted: Opaque(counter.value(id)), next }) {
                        Ok(link) => roots.push(cx.root(link)),
                        Err(_) => roots.clear(),
                    }
                    cx.safepoint();
                }
                for pair in roots.windows(2) {
                    let newer = pair[1].get(&cx);
                    assert!(newer.next.unwrap().ptr_eq(pair[0].get(&cx)));
                    assert!(newer.counted.0.id() > pair[0].get(&cx).counted.0.id());
                }
            });
        }
    });
    heap.verify().unwrap();
    assert!(heap.stats().heap_bytes_max <= 2 << 20);
    drop(heap);
    counter.assert_balanced();
}

/// Hardly anything lives, and everyone comes to safepoints. Mutators that go on while
/// another one has begun a collection, and does not get a processor, must not use up what
/// is left. (It may happen now and then that one asks for memory when all others have just
/// taken theirs; without that wait it happened 10 to 66 times in each of twenty runs.)
#[test]
fn nobody_is_refused_because_another_is_slow_to_collect() {
    let refused = AtomicUsize::new(0);
    for _ in 0..3 {
        let heap = heap(1 << 20);
        let (mutators, cells) = (16, if cfg!(debug_assertions) { 60_000 } else { 200_000 });
        let all_inside = Barrier::new(mutators);
        std::thread::scope(|scope| {
            for _ in 0..mutators {
                scope.spawn(|| {
                    let mut cx = heap.enter();
                    all_inside.wait();
                    for cell in 0..cells {
                        if cx.should_yield() {
                            cx.safepoint();
                        }
                        if cx.try_alloc((cell, None::<Gc<'_, u64>>)).is_err() {
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        heap.verify().unwrap();
    }
    let refused = refused.into_inner();
    assert!(refused < 6, "{refused} refusals");
}

#[test]
fn extreme_settings_are_survived() {
    for growth in [0, 1, u32::MAX] {
        for min in [0, usize::MAX] {
            for limit in [None, Some(1 << 20), Some(usize::MAX)] {
                let config =
                    Config::new().growth_percent(growth).min_heap_bytes(min).mark_threads(1);
                let config = limit.map_or(config.clone(), |limit| config.max_heap_bytes(limit));
                let heap = Heap::new(config);
                let mut cx = heap.enter();
                let root = cx.root(cx.alloc(5_u64));
                for i in 0..20_000_u64 {
                    let _ = cx.try_alloc([i; 3]);
                    cx.safepoint();
                    if i % 5000 == 0 {
                        cx.collect();
                    }
                }
                assert_eq!(*root.get(&cx), 5);
                cx.verify().unwrap();
            }
        }
    }
}

/// Objects of 32 769 bytes take five pages each, so pages run out before bytes do.
/// With a safepoint before every allocation, none may be refused while most of the
/// heap is garbage.
#[test]
fn a_heap_whose_pages_run_out_first_collects_in_time() {
    for rooted in [0, 200, 1000] {
        let limit = 64 << 20;
        let heap = Heap::new(Config::new().max_heap_bytes(limit).min_heap_bytes(limit));
        let mut cx = heap.enter();
        let mut ring = std::collections::VecDeque::new();
        let buffer = vec![0_u8; 32_769];
        for i in 0..5_000 {
            cx.safepoint();
            let object = cx.try_alloc_slice_copy(&buffer);
            let object = object.unwrap_or_else(|e| panic!("{rooted} rooted, object {i}: {e}"));
            ring.push_back(cx.root(object));
            if ring.len() > rooted {
                ring.pop_front();
            }
        }
        cx.verify().unwrap();
    }
}

/// At the limit, free slots that only a full sweep finds must be used before an
/// allocation is refused.
#[test]
fn free_slots_behind_many_full_spans_are_found_at_the_limit() {
    let heap = Heap::new(Config::new().max_heap_bytes(8 << 20).min_heap_bytes(64 << 20));
    let mut cx = heap.enter();
    let mut sparse = Vec::new();
    for i in 0..512 * 16_u64 {
        let object = cx.alloc([i; 64]);
        if i % 16 == 0 {
            sparse.push(cx.root(object));
        }
    }
    let text = "x".repeat(1010);
    let mut full = Vec::new();
    while let Ok(object) = cx.try_alloc_str(&text) {
        full.push(cx.root(object));
    }
    // One dead slot per span, in the last hundred spans of the list.
    let dead: Vec<usize> = (full.len() - 800..full.len()).step_by(8).collect();
    for i in &dead {
        full[*i] = full[0].clone();
    }
    cx.collect();
    let mut kept = Vec::new();
    for i in 0..dead.len() {
        let object = cx.try_alloc_str(&text);
        kept.push(cx.root(object.unwrap_or_else(|e| panic!("allocation {i}: {e}"))));
    }
    cx.verify().unwrap();
}

type Cell<'gc> = GcCell<Option<Gc<'gc, [u64; 127]>>>;

/// A list that takes `share` percent of the limit, and what a loop that makes garbage comes to:
/// how many collections there were, and why it ended.
fn fill_and_churn(config: Config, share: usize) -> (u64, Option<OutOfMemory>) {
    const LIMIT: usize = 16 << 20;
    let heap = Heap::new(config.max_heap_bytes(LIMIT));
    let mut cx = heap.enter();
    let full: Root<[Cell<'static>]> = {
        let cells = LIMIT / 100 * share / size_of::<[u64; 127]>();
        cx.root(cx.alloc_slice_fn(cells, |_| GcCell::new(Some(cx.alloc([0_u64; 127])))))
    };
    cx.collect();
    let before = heap.stats().collections;
    let churn = |cx: &mut Cx| {
        (0..400_000_u64).find_map(|i| {
            cx.safepoint();
            cx.try_alloc([i; 6]).err().map(|error| error.reason)
        })
    };
    let reason = churn(&mut cx);
    let collections = heap.stats().collections - before;
    if reason.is_some() {
        // The error can be dealt with, and without most of the objects all is well.
        for i in 0..100_u64 {
            let _ = cx.alloc([i; 6]);
        }
        full.get(&cx).iter().skip(1000).for_each(|cell| cell.set(&cx, None));
        cx.collect();
        assert_eq!(churn(&mut cx), None);
    }
    cx.verify().unwrap();
    (collections, reason)
}

#[test]
fn a_nearly_full_heap_refuses_instead_of_collecting_all_the_time() {
    for config in [Config::new(), Config::new().mark_slice(std::time::Duration::ZERO)] {
        let (collections, reason) = fill_and_churn(config.clone(), 97);
        assert_eq!((collections, reason), (4, Some(OutOfMemory::Thrashing)), "TD1");
        let (collections, reason) = fill_and_churn(config.clone().thrash_ratio(u32::MAX), 97);
        assert_eq!(reason, None);
        assert!(collections > 50, "{collections}");
        for share in [30, 60, 85] {
            assert_eq!(fill_and_churn(config.clone(), share).1, None, "{share} %");
        }
    }
}

/// Collections that the program asks for are not counted, however full the heap is.
#[test]
fn a_full_heap_whose_program_collects_often_is_not_refused_for_it() {
    for percent in [90, 95, 97] {
        let limit = 16 << 20;
        let heap = Heap::new(Config::new().max_heap_bytes(limit));
        let mut cx = heap.enter();
        let mut kept = Vec::new();
        while kept.len() * 1024 < limit / 100 * percent
            && let Ok(object) = cx.try_alloc([1_u64; 128])
        {
            kept.push(cx.root(object));
            cx.safepoint();
        }
        cx.collect();
        for _ in 0..20 {
            cx.collect();
            for _ in 0..40 {
                let made = cx.try_alloc([1_u64; 100]).map(|_| ()).map_err(|error| error.reason);
                assert_eq!(made, Ok(()), "{percent}");
            }
        }
    }
}
