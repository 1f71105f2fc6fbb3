//! Two contexts that the types cannot tell apart are still borrowed apart.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let a = cx.alloc(1_u64);
    let mut other = Heap::new(Config::new()).enter();
    std::mem::swap(&mut cx, &mut other);
    other.collect();
    println!("{a}");
}
