//! Another unsafe trait under the name of ours: the derive implements none.
extern crate heap_api as real;
extern crate self as heap_api;
pub use real::Tracer;
pub use std::marker::Send as Share;
pub use std::marker::Sync as Trace;

#[derive(real::Share)]
struct Shared(std::rc::Rc<u8>);

#[derive(real::Trace)]
struct Traced(std::cell::Cell<u8>);

fn main() {}
