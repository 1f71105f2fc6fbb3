//! A static cannot hold a handle.
use heap_api::*;

static KEPT: std::sync::Mutex<Option<Gc<'static, u64>>> = std::sync::Mutex::new(None);

fn main() {
    let _ = &KEPT;
}
