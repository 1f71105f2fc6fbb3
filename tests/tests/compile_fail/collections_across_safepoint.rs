//! What collections give out ends at the next safepoint.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let array = cx.root(cx.alloc(GcVec::<u64>::new()));
    let map = cx.root(cx.alloc(GcMap::<u64, u64>::new()));

    let cells = array.get(&cx).open(&cx);
    cx.collect();
    cells[0].set(1);

    let mut entries = map.get(&cx).iter();
    cx.collect();
    entries.next();

    let array = array.get(&cx);
    for value in &*array {
        cx.safepoint();
        let _ = value;
    }
}
