//! Bounds that assume what is not so, or make no sense here.
use heap_api::*;

#[derive(Trace)]
struct Dropped<'gc, T>(Gc<'gc, T>)
where
    Dropped<'gc, T>: HeapObjectsMustNotImplementDrop<OwnDrop = ()>;

impl<'gc, T> Drop for Dropped<'gc, T>
where
    Dropped<'gc, T>: HeapObjectsMustNotImplementDrop<OwnDrop = ()>,
{
    fn drop(&mut self) {}
}

#[derive(Trace)]
struct Unsized<'gc, T: ?Sized>(Gc<'gc, T>);

fn main() {}
