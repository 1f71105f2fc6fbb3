//! A handle to an object behind a trait, and what was reached through it, end with the region.
use heap_api::*;

trait Shape {}
impl DynFamily for dyn Shape {
    type At<'a> = dyn Shape + 'a;
}
impl Shape for u64 {}

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let root = DynGc::<dyn Shape>::new(cx.alloc(1_u64), |object| object).root(&cx);
    let shape = root.get(&cx);
    let reference = root.get(&cx).as_ref();
    cx.collect();
    let _ = (shape, reference);
}
