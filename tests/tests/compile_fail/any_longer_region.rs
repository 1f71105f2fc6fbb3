//! The region that is asked for is not the one that is given.
use heap_api::*;

fn lengthen<'gc>(any: AnyGc<'gc>) -> Option<Gc<'gc, GcCell<Gc<'static, u64>>>> {
    any.downcast::<GcCell<Gc<'static, u64>>>()
}

fn keep<'gc>(any: AnyGc<'gc>) -> AnyGc<'static> {
    any
}

fn main() {}
