//! `extern crate self as core` does not make a leaf of what is not `Send`.
extern crate self as core;
pub mod marker {
    pub trait Send {}
    impl<T: ?Sized> Send for T {}
}

use heap_api::*;
use std::rc::Rc;

#[derive(Trace)]
#[trace(leaf)]
struct Leaf(Rc<u64>);

fn main() {}
