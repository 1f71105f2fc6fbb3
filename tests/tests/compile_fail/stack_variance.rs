//! A stack of one region is no stack of a shorter one, nor of a longer one.
use heap_api::*;

fn shorter<'short, 'long: 'short>(
    stack: &'short GcStack<Gc<'long, u64>>,
) -> &'short GcStack<Gc<'short, u64>> {
    stack
}

fn push<'long, 'short>(cx: &'short Cx, stack: &GcStack<Gc<'long, u64>>, value: Gc<'short, u64>) {
    stack.push(cx, value);
}

fn main() {}
