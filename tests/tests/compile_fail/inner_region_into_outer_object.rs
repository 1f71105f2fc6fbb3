//! A handle goes into an object of its own region only.
use heap_api::*;

fn store<'long, 'short>(
    cx: &'short Cx,
    object: Gc<'long, GcCell<Option<Gc<'long, u64>>>>,
    value: Gc<'short, u64>,
) {
    object.set(cx, Some(value));
}

fn main() {}
