//! An attribute that comes after `derive(Trace)` makes the name one for a type of another region.
use heap_api::*;

struct Real<'gc>(Gc<'gc, u8>);

#[derive(Trace)]
#[hostile_macros::item_becomes(type Alias<'gc> = Real<'static>;)]
struct Alias<'gc>(Gc<'gc, u8>);

fn main() {}
