//! An object holds handles: a reference has no place in it.
use heap_api::*;

#[derive(Trace)]
struct Name<'gc>(&'gc str);

#[derive(Trace)]
enum Value<'gc> {
    Text { text: &'gc [u8] },
}

fn main() {}
