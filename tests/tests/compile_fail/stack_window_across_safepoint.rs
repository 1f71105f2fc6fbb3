//! No window on a stack lives across a safepoint, wherever the stack is.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let stack = GcStack::new();
    stack.push(&cx, 1_u64);
    let window = stack.window(&cx);
    cx.safepoint();
    println!("{}", window[0].get());
}
