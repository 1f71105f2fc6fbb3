//! A type without a lifetime holds no erased handles either.
use heap_api::*;

#[derive(Trace)]
struct Holder(Option<AnyGc<'static>>);

fn main() {}
