//! X3: an object is of the region it is made in; not even an empty slot is of another.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let stolen: Gc<'static, u64> = {
        let long: Gc<'_, GcCell<Option<Gc<'static, u64>>>> = cx.alloc(GcCell::new(None));
        let root = cx.root(long);
        root.get(&cx).set(&cx, Some(cx.alloc(42)));
        long.get().unwrap()
    };
    cx.collect();
    println!("{stolen}");
}
