//! A closure may capture handles; it says nothing about them.
use heap_api::*;

#[derive(Trace)]
struct Object<'gc> {
    handle: Gc<'gc, u64>,
    call: Box<dyn Fn() + 'gc>,
}

fn main() {}
