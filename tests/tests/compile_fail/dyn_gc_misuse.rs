//! A handle to an object behind a trait ends with its region, does not change its family by
//! subtyping, stays on its thread, and is made of types that implement the trait in every region.
use heap_api::*;

trait Shape<'gc> {}
impl DynFamily for dyn Shape<'static> {
    type At<'a> = dyn Shape<'a> + 'a;
}
impl DynFamily for dyn for<'a> Shape<'a> {
    type At<'a> = dyn for<'b> Shape<'b> + 'a;
}

#[derive(Trace)]
struct Handle<'gc>(Gc<'gc, u64>);
impl Shape<'static> for Handle<'static> {}

fn in_one_region_only<'gc>(gc: Gc<'gc, Handle<'gc>>) -> DynGc<'gc, dyn Shape<'static>> {
    DynGc::new(gc, |object| object)
}

fn subtype<'gc>(dynamic: DynGc<'gc, dyn for<'a> Shape<'a>>) -> DynGc<'gc, dyn Shape<'static>> {
    dynamic
}

fn longer<'gc>(dynamic: DynGc<'gc, dyn Shape<'static>>) -> DynGc<'static, dyn Shape<'static>> {
    dynamic
}

fn send(root: DynRoot<dyn Shape<'static>>) {
    std::thread::spawn(move || drop(root));
}

fn main() {}
