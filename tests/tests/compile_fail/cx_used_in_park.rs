//! A parked thread has no context either.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    cx.park(|| {
        let _ = cx.alloc(1_u64);
    });
}
