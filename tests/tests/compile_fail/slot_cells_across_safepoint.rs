//! Opened slots are cells until the next safepoint: a marking may begin there.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let slots = cx.try_alloc_header_slice_fn(BarrierStamp::new(), 2, |_| GcCell::new(0_u64));
    let slots = cx.root(slots.ok().unwrap());
    let cells = slots.get(&cx).as_ref().open(&cx);
    cells[0].set(1);
    cx.safepoint();
    cells[1].set(2);
}
