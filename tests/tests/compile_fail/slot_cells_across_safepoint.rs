//! Opened slots are cells until the next safepoint: a marking may begin there.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let slots = [const { Slot::new(0_u64) }; 2];
    let cells = Slot::open(&cx, &slots);
    cells[0].set(1);
    cx.safepoint();
    cells[1].set(2);
}
