//! A crate that calls itself `heap_api` and gives the derive other names than the real ones gains
//! nothing: what is checked is asked for by the trait itself.
extern crate heap_api as real;
extern crate self as heap_api;
pub use real::{Trace, Tracer};

pub trait LeafData {}
impl<T: ?Sized> LeafData for T {}
pub trait HeapObjectsMustNotImplementDrop {
    type OwnDrop;
}

use real::Gc;
use std::rc::Rc;

#[derive(Trace)]
#[trace(leaf)]
struct Unsendable(Rc<u64>);

#[derive(Trace)]
#[trace(leaf)]
struct Holder<T>(T);

#[derive(Trace)]
struct Dropped<'gc>(Gc<'gc, u64>);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {}
}

fn main() {}
