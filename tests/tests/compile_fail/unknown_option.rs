//! A misspelt option is not ignored.
use heap_api::*;

#[derive(Trace)]
#[trace(skip)]
struct Odd(u8);

fn main() {}
