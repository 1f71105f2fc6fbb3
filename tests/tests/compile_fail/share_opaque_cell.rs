//! Opaque data is shared if it is Sync.
use heap_api::*;

#[derive(Trace, Share)]
struct Shared(Opaque<std::cell::Cell<u8>>);

fn main() {}
