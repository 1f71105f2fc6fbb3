//! There are no values of `AnyObject`.
use heap_api::*;

fn main() {
    let _ = AnyObject { opaque: [] };
}
