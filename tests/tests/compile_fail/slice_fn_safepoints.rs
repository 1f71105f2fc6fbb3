//! The elements of a new slice are made without a safepoint.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let _ = cx.alloc_slice_fn(4, |i| {
        cx.safepoint();
        i
    });
}
