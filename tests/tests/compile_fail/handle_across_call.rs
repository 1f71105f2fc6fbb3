//! A function that takes &mut Cx may collect.
use heap_api::*;

fn native(cx: &mut Cx) {
    cx.safepoint();
}

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let a = cx.alloc(1_u64);
    native(&mut cx);
    println!("{a}");
}
