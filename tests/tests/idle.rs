//! What a heap keeps when its program has nothing to do.

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
        cx.park(|| std::thread::sleep(std::time::Duration::from_millis(100)));
        waited += 1;
    }
    assert!(retained() <= 16 << 20, "{} of {peak} are left", retained());
    assert_eq!(kept[9].get(&cx)[8191], 8191);
}
