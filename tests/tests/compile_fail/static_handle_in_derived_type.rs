//! T2: a type without a lifetime holds no handles: they would be of no region.
use heap_api::*;

#[derive(Trace)]
struct NoLifetime {
    kept: AtomicGcCell<'static, u64>,
}

#[derive(Trace)]
struct Other<'gc> {
    own: Gc<'gc, u64>,
    kept: Option<Gc<'static, u64>>,
}

#[derive(Trace)]
enum Deep<'gc, T> {
    Kept(Gc<'gc, GcCell<Option<Gc<'static, T>>>>),
}

fn main() {}
