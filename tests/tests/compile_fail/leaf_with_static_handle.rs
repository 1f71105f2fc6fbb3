//! A leaf holds no handle of any lifetime.
use heap_api::*;

#[derive(Trace)]
#[trace(leaf)]
struct Leaf(Gc<'static, u64>);

fn main() {}
