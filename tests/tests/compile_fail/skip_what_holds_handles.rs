//! A field that is skipped holds no handle, and may be dropped on any thread.
use heap_api::*;
use std::rc::Rc;

#[derive(Trace)]
struct Handle<'gc>(#[trace(skip)] Gc<'gc, u64>);

#[derive(Trace)]
struct Static<'gc> {
    #[trace(skip)]
    handle: Option<Gc<'static, u64>>,
    other: Gc<'gc, u64>,
}

#[derive(Trace)]
enum Unsendable {
    One {
        #[trace(skip)]
        rc: Rc<u64>,
    },
}

#[derive(Trace)]
struct Parameter<T>(#[trace(skip)] T);

#[derive(Trace)]
#[trace(leaf)]
struct Leaf(#[trace(skip)] u64);

fn main() {}
