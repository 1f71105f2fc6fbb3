//! A local does not leave its scope by value.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let local = cx.scope(|scope| scope.keep(scope.alloc(1_u64)));
    let _ = local.get(&cx);
}
