//! What a shared object leads to is shared, too.
use heap_api::*;

#[derive(Trace)]
struct Private(GcCell<u64>);

#[derive(Trace, Share)]
struct Shared<'gc> {
    constant: Gc<'gc, Private>,
    atomic: AtomicGcCell<'gc, Private>,
}

fn main() {}
