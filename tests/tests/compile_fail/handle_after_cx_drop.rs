//! A handle does not outlive its context.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let a = cx.alloc(1_u64);
    drop(cx);
    let _ = *a;
}
