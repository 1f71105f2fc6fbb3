//! A pointer becomes a handle, and is reported, in `unsafe` code only.
use core::ptr::NonNull;
use heap_api::*;

fn forge(pointer: NonNull<u8>) -> Gc<'static, str> {
    Gc::from_raw(pointer)
}

fn report(tracer: &mut Tracer, pointer: NonNull<u8>) {
    tracer.report_raw(pointer);
}

fn main() {}
