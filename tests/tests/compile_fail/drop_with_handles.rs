//! T3: an object with handles has no destructor of its own.
use heap_api::*;

#[derive(Trace)]
struct Node<'gc> {
    next: Option<Gc<'gc, Node<'gc>>>,
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        let _ = self.next.as_ref().map(|next| next.next);
    }
}

fn main() {}
