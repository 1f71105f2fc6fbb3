//! What a heap keeps when its program has nothing to do.

use std::time::Duration;

use heap_api::{Config, Heap};

/// With a background sweeper, a program that does nothing more after a collection keeps no more than
/// it needs until the next one.
#[test]
fn an_idle_heap_gives_memory_back_by_itself() {
    let heap = Heap::new(Config::new().background_sweep(true));
    let mut cx = heap.enter();
    let kept: Vec<_> = (0..64).map(|_| cx.root(cx.alloc_slice_fn(8192, |i| i as u64))).collect();
    let retained = || heap.stats().heap_bytes + heap.stats().idle_bytes;
    for i in 0..200_u64 {
        let _ = cx.alloc_slice_fn(65_536, |_| i);
    }
    cx.collect();
    let peak = retained();
    assert!(peak > 50 << 20, "{peak}");
    let mut waited = 0;
    while retained() > 16 << 20 && waited < 300 {
        cx.park(|| std::thread::sleep(Duration::from_millis(100)));
        waited += 1;
    }
    assert!(retained() <= 16 << 20, "{} of {peak} are left", retained());
    assert_eq!(kept[9].get(&cx)[8191], 8191);
}

/// Without one it does so when it comes back from a second outside; a heap with slices in several such
/// safepoints.
#[test]
fn an_idle_heap_without_a_sweeper_gives_memory_back_when_it_was_parked() {
    for slice in [None, Some(Duration::from_micros(500))] {
        let config = Config::new().background_sweep(false);
        let heap = Heap::new(match slice {
            Some(slice) => config.mark_slice(slice),
            None => config,
        });
        let mut cx = heap.enter();
        let kept: Vec<_> =
            (0..64).map(|_| cx.root(cx.alloc_slice_fn(8192, |i| i as u64))).collect();
        let retained = || heap.stats().heap_bytes + heap.stats().idle_bytes;
        for i in 0..200_u64 {
            let _ = cx.alloc_slice_fn(65_536, |_| i);
        }
        cx.collect();
        let peak = retained();
        assert!(peak > 50 << 20, "{peak}");
        cx.park(|| ());
        assert_eq!(retained(), peak, "it may be busy");
        let mut parked = 0;
        while retained() > 16 << 20 && parked < 1000 {
            // No collection comes in between.
            let wait = if parked == 0 { Duration::from_millis(1100) } else { Duration::ZERO };
            cx.park(|| std::thread::sleep(wait));
            parked += 1;
        }
        assert!(retained() <= 16 << 20, "{} of {peak} are left", retained());
        assert!(slice.is_some() || parked == 1, "{parked}");
        assert_eq!((kept[9].get(&cx)[8191], heap.stats().collections), (8191, 1));
        cx.verify().expect("a sound heap");
    }
}
