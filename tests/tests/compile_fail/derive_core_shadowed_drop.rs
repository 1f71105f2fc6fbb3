//! `extern crate self as core` does not hide a `Drop` from the derive.
extern crate self as core;
pub mod ops {
    pub trait Drop {}
}
pub mod marker {
    pub trait Send {}
    impl<T: ?Sized> Send for T {}
}

use heap_api::*;

#[derive(Trace)]
struct Node<'gc> {
    payload: Gc<'gc, [u64]>,
}

impl std::ops::Drop for Node<'_> {
    fn drop(&mut self) {
        println!("a neighbour that may be free: {:?}", &self.payload[..]);
    }
}

fn main() {}
