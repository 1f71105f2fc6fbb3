//! T5: nobody but the collector traces.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let lock = GcRefCell::new(vec![cx.alloc(1_u64)]);
    let mut guard = lock.borrow_mut(&cx);
    lock.trace(&mut Tracer::default());
    guard.clear();
}
