//! T3: nor has a generic one, whatever its parameters are.
use heap_api::*;

#[derive(Trace)]
struct Guard<T>(T);

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {}
}

fn main() {}
