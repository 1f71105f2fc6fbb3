//! The values of a stack are plain: it drops none.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let stack = GcStack::new();
    stack.push(&cx, String::from("leaked"));
}
