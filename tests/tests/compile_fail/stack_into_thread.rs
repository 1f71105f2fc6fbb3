//! A stack is of one thread, and so is every object with one.
use heap_api::*;

#[derive(Trace, Share)]
struct Coroutine {
    stack: GcStack<u64>,
}

fn main() {
    let stack = GcStack::<u64>::new();
    std::thread::spawn(move || drop(stack));
}
