//! Weak handles stay on their thread; owned ones, and finalizers, go to another only if their objects
//! may be shared.
use heap_api::{Config, Finalizers, GcCell, Heap, Trace};

#[derive(Trace)]
struct Counter(GcCell<u64>);

fn send(_: impl Send) {}
fn share(_: impl Sync) {}

fn main() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let counter = cx.alloc(Counter(GcCell::new(0)));
    send(counter.downgrade(&cx));
    send(cx.weak_root(counter));
    share(Finalizers::<Counter>::new(&heap));
}
