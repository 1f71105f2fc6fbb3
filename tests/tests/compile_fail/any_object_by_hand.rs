//! No object is an `AnyObject`: it is not allocated, alone or in a slice, and shows nothing.
use heap_api::*;

fn allocate(cx: &Cx, value: AnyObject) {
    cx.alloc(value);
}

fn in_a_slice(_: Gc<'_, [AnyObject]>, cx: &Cx) {
    cx.alloc_slice_copy::<AnyObject>(&[]);
}

fn look(any: AnyGc<'_>) -> u8 {
    any.opaque[0]
}

fn main() {}
