//! Trace and Payload are unsafe to implement.
use heap_api::*;

struct Liar<'gc>(Gc<'gc, u64>);

impl<'gc> Trace for Liar<'gc> {
    type At<'a> = Liar<'a>;
    const NEEDS_TRACE: bool = false;
    fn trace(&self, _: &mut Tracer) {}
}

fn main() {}
