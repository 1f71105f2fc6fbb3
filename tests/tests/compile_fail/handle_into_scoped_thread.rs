//! Handles stay on their thread, even for a while.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let a = cx.alloc(1_u64);
    std::thread::scope(|scope| {
        scope.spawn(|| println!("{a}"));
    });
}
