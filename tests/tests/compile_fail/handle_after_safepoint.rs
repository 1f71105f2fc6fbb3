//! A handle does not survive a safepoint.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let a = cx.alloc(1_u64);
    cx.safepoint();
    let _ = *a;
}
