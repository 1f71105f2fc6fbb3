//! An array in an object is of the object's region, and so is its memory.
use heap_api::*;

#[derive(Trace)]
struct Holder<'gc>(GcVec<'gc, Gc<'static, u64>>);

fn longer<'gc>(array: &GcVec<'gc, Gc<'gc, u64>>) -> &'gc GcVec<'static, Gc<'static, u64>> {
    array
}

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let root = cx.root(cx.alloc(GcVec::<Gc<'static, u64>>::new()));
    let local: GcVec<'static, u64> = GcVec::new();
    local.push(&cx, 1);
    cx.collect();
    let _ = (root, local.get(0));
}
