//! A scope is not exchanged for another.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    cx.scope(|outer| {
        outer.scope(|inner| std::mem::swap(outer, inner));
    });
}
