//! An attribute that comes after `derive(Trace)` and adds a lifetime: the derive saw a type without
//! handles.
use heap_api::*;

#[derive(Trace)]
#[hostile_macros::item_becomes(struct Hidden<'gc> { a: Gc<'gc, u64> })]
struct Hidden {
    a: u64,
}

fn main() {}
