//! An intern set is searched without a safepoint.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let mut set = InternSet::<str>::new(&heap);
    let same = |text: &str| text == "a";
    let _ = set.find(&cx, 1, |text| {
        cx.collect();
        same(text)
    });
    let _ = set.find_or_insert(&cx, 1, same, || {
        cx.collect();
        cx.alloc_str("a")
    });
}
