//! An ephemeron stays in the object in which it was made.
use heap_api::{Config, Cx, Ephemeron, Gc, GcRefCell, Heap, Trace};

#[derive(Trace)]
struct Holder<'gc> {
    pair: GcRefCell<Option<Ephemeron<'gc, str, u64>>>,
}

fn fill<'gc>(cx: &'gc Cx, holder: Gc<'gc, Holder<'gc>>) {
    let pair = cx.alloc_ephemeron(cx.alloc_str("key"), 1_u64);
    *holder.pair.borrow_mut(cx) = Some(*pair);
}

fn make<'gc>() -> Ephemeron<'gc, str, u64> {
    Ephemeron::default()
}

fn main() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    fill(&cx, cx.alloc(Holder { pair: GcRefCell::new(None) }));
}
