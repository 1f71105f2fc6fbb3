//! An attribute that comes after `derive(Trace)` gives the name to another type, which has a `Drop`.
use heap_api::*;

struct Real<'gc>(Gc<'gc, u64>);
impl Drop for Real<'_> {
    fn drop(&mut self) {}
}

#[derive(Trace)]
#[hostile_macros::item_becomes(type Alias<'gc> = Real<'gc>;)]
struct Alias<'gc>(Gc<'gc, u64>);

fn main() {}
