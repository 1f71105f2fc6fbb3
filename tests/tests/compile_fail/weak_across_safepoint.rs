//! Weak handles, and what they give out, end at a safepoint.
use heap_api::{Config, Finalizers, Heap};

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let weak = cx.alloc_str("a").downgrade(&cx);
    cx.collect();
    let _ = weak.upgrade(&cx);

    let root = cx.weak_root(cx.alloc_str("b"));
    let strong = root.upgrade(&cx);
    cx.collect();
    drop(strong);

    let finalizers = Finalizers::<str>::new(&heap);
    let next = finalizers.next(&cx);
    cx.collect();
    drop(next);
}
