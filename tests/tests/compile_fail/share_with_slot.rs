//! A slot is for one mutator at a time.
use heap_api::*;

#[derive(Trace, Share)]
struct Shared<'gc> {
    next: GcCell<Option<Gc<'gc, Shared<'gc>>>>,
}

#[derive(Trace, Share)]
enum Locked {
    Inside(GcRefCell<Vec<u8>>),
}

fn main() {}
