//! Handles stay on their thread.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let cx: &'static Cx = Box::leak(Box::new(heap.enter()));
    let a: Gc<'static, u64> = cx.alloc(1);
    std::thread::spawn(move || println!("{a}"));
}
