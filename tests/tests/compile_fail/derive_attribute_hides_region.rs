//! An attribute that comes after `derive(Trace)` says that the heap's lifetime is `'static`.
use heap_api::*;

#[derive(Trace)]
#[hostile_macros::item_becomes(
    struct Static<'gc>(Gc<'static, u8>, Gc<'gc, u8>) where 'gc: 'static;
)]
struct Static<'gc>(Gc<'gc, u8>, Gc<'gc, u8>);

fn main() {}
