//! A handle does not survive a collection.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let a = cx.alloc_str("gone");
    cx.collect();
    println!("{a}");
}
