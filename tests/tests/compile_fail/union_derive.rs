//! A union does not say which field is alive.
use heap_api::*;

#[derive(Trace, Clone, Copy)]
union Either<'gc> {
    number: u64,
    handle: Gc<'gc, u64>,
}

fn main() {}
