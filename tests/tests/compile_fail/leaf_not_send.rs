//! T4: a leaf is dropped on any thread.
use heap_api::*;
use std::rc::Rc;

#[derive(Trace)]
#[trace(leaf)]
struct Leaf(Rc<u64>);

fn main() {}
