//! A root of any object stays on its thread, and a shared object does not lead to one: what is behind
//! it may be unshared.
use heap_api::*;

#[derive(Trace, Share)]
struct Shared<'gc>(AnyGc<'gc>);

fn send(root: Root<AnyObject>) {
    std::thread::spawn(move || drop(root));
}

fn main() {}
