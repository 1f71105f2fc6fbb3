//! Opaque values borrow nothing.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let local = 1_u64;
    let _ = cx.alloc(Opaque(&local));
}
