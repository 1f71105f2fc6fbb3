//! A lock that lives on the stack is closed at a safepoint as well.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let lock = GcRefCell::new(vec![1_u64]);
    let mut guard = lock.borrow_mut(&cx);
    cx.safepoint();
    guard.push(2);
}
