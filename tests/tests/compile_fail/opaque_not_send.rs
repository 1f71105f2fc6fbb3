//! T4: opaque values are dropped on any thread.
use heap_api::*;
use std::rc::Rc;

fn main() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let _ = cx.alloc(Opaque(Rc::new(1)));
}
