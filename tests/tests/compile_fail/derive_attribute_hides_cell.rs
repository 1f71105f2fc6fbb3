//! An attribute that comes after `derive(Share)` does not make a `Cell` shareable.
use heap_api::*;

#[derive(Trace, Share)]
#[trace(leaf)]
#[hostile_macros::item_becomes(struct Racy { cell: std::cell::Cell<u64> })]
struct Racy {
    cell: u64,
}

fn main() {}
