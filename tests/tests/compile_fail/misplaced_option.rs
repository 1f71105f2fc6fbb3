//! An option in the wrong place is not ignored either.
use heap_api::*;

#[derive(Trace)]
struct OnField<'gc> {
    #[trace(leaf)]
    handle: Gc<'gc, u64>,
}

#[derive(Trace)]
enum OnVariant<'gc> {
    #[trace(skip)]
    One(Gc<'gc, u64>),
}

#[derive(Trace)]
#[trace(crate = "Vec<u8>")]
struct NoPath(u8);

fn main() {}
