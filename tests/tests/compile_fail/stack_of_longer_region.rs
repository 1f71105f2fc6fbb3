//! X3: a stack in an object is of the object's region, also an empty one.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let stolen: Gc<'static, u64> = {
        let long: Gc<'_, GcStack<Gc<'static, u64>>> = cx.alloc(GcStack::new());
        let root = cx.root(long);
        root.get(&cx).push(&cx, cx.alloc(42));
        long.last().unwrap()
    };
    cx.collect();
    println!("{stolen}");
}
