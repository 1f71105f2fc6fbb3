//! A handle's region is never made longer.
use heap_api::*;

fn longer<'long, 'short: 'short>(handle: Gc<'short, u64>) -> Gc<'long, u64> {
    handle
}

fn at_static<T: Trace>(value: T) -> T::At<'static> {
    value
}

fn main() {}
