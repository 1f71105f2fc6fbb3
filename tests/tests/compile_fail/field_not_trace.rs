//! A field that cannot say what handles it holds.
use heap_api::*;

struct Forgotten<'gc>(Gc<'gc, u64>);

#[derive(Trace)]
struct Object<'gc> {
    fine: Gc<'gc, u64>,
    forgotten: Forgotten<'gc>,
}

fn main() {}
