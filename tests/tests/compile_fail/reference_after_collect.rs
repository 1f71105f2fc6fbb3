//! Nor does a reference into the object.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let text: &str = cx.alloc_str("gone").as_ref();
    cx.collect();
    println!("{text}");
}
