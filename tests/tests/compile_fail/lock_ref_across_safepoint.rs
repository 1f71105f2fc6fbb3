//! So is one in the heap.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let root = cx.root(cx.alloc(GcRefCell::new(vec![1_u64])));
    let object = root.get(&cx);
    let guard = object.borrow();
    cx.safepoint();
    println!("{}", guard.len());
}
