//! Memory that objects own elsewhere: it makes collections due, is counted by type, and may count
//! towards the limit.

use std::cell::RefCell;
use std::time::Duration;

use heap_api::{Config, Cx, External, ExternalBytes, Heap, Opaque, OutOfMemory, Root, Trace};
use heap_tests::catch;

const MIB: usize = 1 << 20;

fn configs() -> Vec<Config> {
    let base = || Config::new().max_heap_bytes(64 * MIB);
    vec![
        Config::new(),
        base(),
        base().mark_slice(Duration::from_micros(100)),
        base().background_sweep(true),
        Config::new().mark_slice(Duration::ZERO).background_sweep(true),
    ]
}

#[test]
fn garbage_that_owns_much_is_collected_in_time() {
    for config in configs() {
        let heap = Heap::new(config);
        let mut cx = heap.enter();
        let mut most = 0;
        for _ in 0..2000 {
            cx.alloc(External::new(&cx, vec![1_u8; MIB]));
            cx.safepoint();
            most = most.max(heap.stats().external_bytes as usize);
        }
        // The smallest heap is 4 MiB; a background sweeper and steps come a little later.
        assert!(most <= 64 * MIB, "{} MiB", most / MIB);
        assert!(heap.stats().collections > 20);
        cx.collect();
        cx.verify().unwrap();
        drop(cx);
        while heap.stats().external_bytes > 0 {
            std::thread::yield_now();
        }
    }
}

#[test]
fn what_is_kept_elsewhere_lets_the_heap_grow() {
    for config in [Config::new(), Config::new().background_sweep(true)] {
        let heap = Heap::new(config);
        let mut cx = heap.enter();
        let kept: Vec<Root<External<Vec<u8>>>> =
            (0..200).map(|_| cx.root(cx.alloc(External::new(&cx, vec![0_u8; MIB])))).collect();
        cx.collect();
        while heap.stats().undropped_bytes > 0 {
            std::thread::yield_now();
        }
        let before = heap.stats().collections;
        for _ in 0..700 {
            let _ = cx.alloc(External::with_bytes(&cx, Opaque(()), MIB));
            cx.safepoint();
        }
        // 350 MiB of growth are allowed beside 200 that are kept.
        let collections = heap.stats().collections - before;
        assert!((1..=3).contains(&collections), "{collections}");
        assert_eq!(kept[0].get(&cx).len(), MIB);
    }
}

#[test]
fn a_heap_that_cannot_collect_asks_again_when_external_bytes_have_doubled() {
    let heap = Heap::new(Config::new());
    std::thread::scope(|scope| {
        scope.spawn(|| std::mem::forget(heap.enter())).join().unwrap();
    });
    let mut cx = heap.enter();
    let charge = cx.external_bytes::<Image>(64 * MIB);
    assert!(cx.should_yield());
    cx.safepoint();
    charge.set(&cx, 100 * MIB);
    assert!(!cx.should_yield());
    charge.set(&cx, 130 * MIB);
    assert!(cx.should_yield());
    assert_eq!(heap.stats().collections, 0);
}

#[derive(Trace)]
struct Image {
    external: ExternalBytes,
}

#[test]
fn charges_are_counted_by_type_and_end_with_their_objects() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let rows = || {
        let row = |row: heap_api::ExternalRow| (row.type_name, row.charges, row.bytes);
        heap.external_usage().into_iter().map(row).collect::<Vec<_>>()
    };
    let image = cx.root(cx.alloc(Image { external: cx.external_bytes::<Image>(5000) }));
    let _ = cx.alloc(External::new(&cx, String::with_capacity(100)));
    // Never in the heap.
    drop(cx.external_bytes::<Image>(1 << (usize::BITS - 24)));
    let name = std::any::type_name::<Image>();
    assert_eq!(rows(), [(name, 1, 5000), ("alloc::string::String", 1, 100)]);
    image.get(&cx).external.set(&cx, 70);
    assert_eq!(rows(), [("alloc::string::String", 1, 100), (name, 1, 70)]);
    image.get(&cx).external.set(&cx, 80);
    assert_eq!((heap.stats().external_bytes, image.get(&cx).external.get()), (180, 80));
    cx.collect();
    assert_eq!(rows(), [(name, 1, 80)]);
    drop(image);
    cx.collect();
    assert_eq!((rows(), heap.stats().external_bytes), (vec![], 0));
    // A charge knows its heap.
    let charge = cx.external_bytes::<Image>(1);
    let said = catch(|| {
        cx.park(|| {
            let other = Heap::new(Config::new());
            charge.set(&other.enter(), 2);
        });
    });
    assert!(said.unwrap_err().contains("another heap"));
    assert_eq!(charge.get(), 1);
    // And may outlive it.
    drop((cx, heap));
    drop(charge);
}

#[test]
fn a_buffer_that_grows_says_so() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let buffer = cx.alloc(External::new(&cx, RefCell::new(Vec::<u64>::new())));
    assert_eq!(buffer.bytes(), 0);
    buffer.borrow_mut().reserve_exact(1000);
    buffer.update(&cx);
    assert_eq!((buffer.bytes(), heap.stats().external_bytes), (8000, 8000));
    *buffer.borrow_mut() = Vec::new();
    buffer.update(&cx);
    assert_eq!(heap.stats().external_bytes, 0);
}

fn exhaust(cx: &Cx) -> usize {
    let refused = |i: &usize| {
        let result = External::try_new(cx, vec![0_u8; 100_000]);
        match result {
            Ok(value) => {
                let _ = cx.alloc(value);
                assert!(*i < 10_000, "there is no limit");
                false
            }
            Err(error) => {
                assert_eq!((error.reason, error.value.len()), (OutOfMemory::Limit, 100_000));
                true
            }
        }
    };
    (0..).find(refused).unwrap()
}

#[test]
fn external_bytes_count_towards_the_limit_if_asked_to() {
    for config in configs() {
        let heap = Heap::new(config.max_heap_bytes(8 * MIB).limit_external(true));
        let mut cx = heap.enter();
        for _ in 0..5 {
            assert!(exhaust(&cx) > 20);
            let stats = heap.stats();
            assert!(stats.external_bytes + stats.heap_bytes <= 8 * MIB as u64, "Y2");
            // The heap has no room for its own, either.
            assert_eq!(
                cx.try_alloc_slice_zeroed::<u8>(2 * MIB).unwrap_err().reason,
                OutOfMemory::Limit
            );
            cx.collect();
            // A background sweeper may be in the middle of it.
            while heap.stats().external_bytes > 0 {
                std::thread::yield_now();
            }
        }
        assert!(cx.try_alloc_slice_zeroed::<u8>(2 * MIB).is_ok());
        cx.verify().unwrap();
    }
}
