//! A path that leads to the real trait with weaker names beside it gains nothing.
use heap_api::Gc;
use std::rc::Rc;

mod weaker {
    pub use heap_api::{Trace, Tracer};
    pub trait LeafData {}
    impl<T: ?Sized> LeafData for T {}
    pub trait HeapObjectsMustNotImplementDrop {
        type OwnDrop;
    }
}

#[derive(weaker::Trace)]
#[trace(leaf, crate = "weaker")]
struct Unsendable(Rc<u64>);

#[derive(weaker::Trace)]
#[trace(crate = "weaker")]
struct Skipped<'gc>(#[trace(skip)] Gc<'gc, u64>);

#[derive(weaker::Trace)]
#[trace(crate = "crate::weaker")]
struct Dropped<'gc>(Gc<'gc, u64>);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {}
}

fn main() {}
