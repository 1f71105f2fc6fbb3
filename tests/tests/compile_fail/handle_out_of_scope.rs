//! A handle from a scope is of no use after it.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let a = cx.scope(|scope| scope.alloc(1_u64));
    println!("{a}");
}
