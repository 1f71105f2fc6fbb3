//! A leaf has no handles, so it has no lifetime.
use heap_api::*;

#[derive(Trace)]
#[trace(leaf)]
struct Leaf<'gc>(Gc<'gc, u64>);

fn main() {}
