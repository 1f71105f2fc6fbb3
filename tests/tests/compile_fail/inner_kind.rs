//! A kind of objects is made by an unsafe function, and its functions report by one.
#![forbid(unsafe_code)]
use heap_core::kind::ObjectKind;
use heap_core::tracer::{Piece, EdgeBuffer};
use std::ptr::NonNull;

fn lie(_page: *const u8, buffer: &mut EdgeBuffer) {
    let object = NonNull::dangling();
    buffer.with_tracer(|tracer| {
        tracer.edge(object);
        tracer.defer(Piece { object, from: 0, end: 1, trace: None });
    });
}

static LIAR: ObjectKind = ObjectKind::new(|| "liar", Some(lie), None, None);

fn main() {}
