//! A stack is not dropped, moved or swapped while a window on it is open.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let mut one = GcStack::new();
    let mut two = GcStack::new();
    one.push(&cx, 1_u64);
    let window = one.window(&cx);
    std::mem::swap(&mut one, &mut two);
    drop(one);
    println!("{}", window[0].get());
}
