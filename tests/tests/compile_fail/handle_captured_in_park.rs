//! A parked thread has no handles.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let a = cx.alloc(1_u64);
    cx.park(|| println!("{a}"));
}
