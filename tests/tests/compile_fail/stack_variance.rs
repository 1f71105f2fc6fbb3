//! A stack of one region is no stack of a shorter one, nor of a longer one.
use heap_api::*;

fn shorter<'short, 'long: 'short>(
    stack: &'short Stack<Gc<'long, u64>>,
) -> &'short Stack<Gc<'short, u64>> {
    stack
}

fn push<'long, 'short>(cx: &'short Cx, stack: &Stack<Gc<'long, u64>>, value: Gc<'short, u64>) {
    stack.push(cx, value);
}

fn main() {}
