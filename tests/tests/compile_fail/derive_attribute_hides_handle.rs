//! Attributes that come after `derive(Trace)` put handles where it saw none, in a region of their own.
use heap_api::*;

#[derive(Trace)]
#[hostile_macros::item_becomes(struct InField { a: Gc<'static, u64> })]
struct InField {
    a: u64,
}

#[derive(Trace)]
#[hostile_macros::item_becomes(struct InDefault<T = Gc<'static, u64>> { a: T })]
struct InDefault {
    a: u64,
}

#[derive(Trace)]
#[hostile_macros::item_becomes(struct MoreFields<'gc> { a: u64, b: Gc<'gc, u64> })]
struct MoreFields<'gc> {
    a: u64,
}

#[derive(Trace)]
#[hostile_macros::item_becomes(enum MoreVariants<'gc> { A(u64), B(Gc<'gc, u64>) })]
enum MoreVariants<'gc> {
    A(u64),
}

#[derive(Trace)]
#[trace(leaf)]
#[hostile_macros::item_becomes(struct Leaf { a: Gc<'static, u64> })]
struct Leaf {
    a: u64,
}

#[derive(Trace)]
#[hostile_macros::item_becomes(union Either<'gc> { a: u64, b: Gc<'gc, u64> })]
struct Either<'gc> {
    a: u64,
    b: u64,
}

fn main() {}
