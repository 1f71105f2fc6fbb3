//! A root goes to another thread only with an object that may be shared.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let root = cx.root(cx.alloc(GcCell::new(1_u64)));
    std::thread::spawn(move || drop(root));
}
