//! lua
fn main() {}
