//! A handle does not outlive a context that nobody named.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let a = heap.enter().alloc(1_u64);
    let _ = *a;
}
