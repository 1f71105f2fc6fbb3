//! T2: neither is one in a field of a derived type.
use heap_api::*;

#[derive(Trace)]
struct Coroutine<'gc> {
    stack: GcStack<Gc<'static, u64>>,
    current: GcCell<Option<Gc<'gc, u64>>>,
}

fn main() {}
