//! A handle from before is of no use in a scope, which may collect.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let a = cx.alloc(1_u64);
    cx.scope(|scope| {
        scope.collect();
        println!("{a}");
    });
}
