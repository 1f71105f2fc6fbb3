//! Nor can a thread-local: it would have to be 'static.
use heap_api::*;
use std::cell::Cell;

thread_local! {
    static KEPT: Cell<Option<Gc<'static, u64>>> = const { Cell::new(None) };
}

fn main() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    KEPT.set(Some(cx.alloc(1)));
}
