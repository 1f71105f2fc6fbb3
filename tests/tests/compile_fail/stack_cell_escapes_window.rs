//! A value's cell is not kept beyond the window that shows it.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let stack = GcStack::new();
    stack.push(&cx, 1_u64);
    let window = stack.window(&cx);
    let cell = &window[0];
    drop(window);
    stack.try_reserve(&cx, 10_000).unwrap();
    println!("{}", cell.get());
}
