//! Collections stay on their thread, and are not shared.
use heap_api::*;

fn share<T: Share>() {}
fn send<T: Send>() {}
fn sync<T: Sync>() {}

fn main() {
    share::<GcVec<'_, u64>>();
    send::<GcVec<'_, u64>>();
    sync::<GcVec<'_, u64>>();
    share::<GcMap<'_, u64, u64>>();
    send::<GcMap<'_, u64, u64>>();
}
