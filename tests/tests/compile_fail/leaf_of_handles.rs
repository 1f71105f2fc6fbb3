//! A generic leaf is none when its parameter is a handle.
use heap_api::*;

#[derive(Trace)]
#[trace(leaf)]
struct Leaf<T>(T);

fn main() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let a = cx.alloc(1_u64);
    let _ = cx.alloc(Leaf(a));
}
