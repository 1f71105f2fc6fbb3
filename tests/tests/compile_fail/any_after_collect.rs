//! An object that is found behind an erased handle is of the handle's region.
use heap_api::*;

#[derive(Trace)]
struct Node<'gc>(Option<Gc<'gc, Node<'gc>>>);

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let any = cx.alloc(Node(None)).erase();
    let node = any.downcast::<Node<'static>>();
    cx.collect();
    let _ = node;
}
