//! There is one region at a time.
use heap_api::*;

#[derive(Trace)]
struct Two<'a, 'b> {
    one: Gc<'a, u64>,
    two: Gc<'b, u64>,
}

fn main() {}
