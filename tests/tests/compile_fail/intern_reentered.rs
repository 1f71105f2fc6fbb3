//! An intern set is not changed while it is searched.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let mut set = InternSet::<str>::new(&heap);
    let _ = set.find(&cx, 1, |_| {
        set.insert(&cx, 1, cx.alloc_str("b"));
        true
    });
}
