//! Known limit: a type that holds itself, but not through a handle, wants to be a leaf.
use heap_api::*;

#[derive(Trace)]
struct List(Option<Box<List>>);

fn main() {
    let heap = Heap::new(Config::new());
    let _ = heap.enter().alloc(List(None));
}
