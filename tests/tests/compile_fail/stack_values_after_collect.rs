//! A stack in a local variable is no root: its handles end with their region.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let stack = GcStack::new();
    stack.push(&cx, cx.alloc(1_u64));
    cx.collect();
    println!("{:?}", stack.last());
}
