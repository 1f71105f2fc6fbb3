//! Opaque values hold no handles, not even leaked ones.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let cx: &'static Cx = Box::leak(Box::new(heap.enter()));
    let a: Gc<'static, u64> = cx.alloc(1);
    let _ = cx.alloc(Opaque(a));
    let any: Box<dyn std::any::Any> = Box::new(a);
    let _ = cx.alloc(Opaque(any));
}
