//! X3 holds for zeroed objects: an empty slot is of the region it is made in.
use heap_api::*;

type Long = GcCell<Option<Gc<'static, u64>>>;

fn main() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let _ = cx.alloc_zeroed::<Long>();
    let _ = cx.alloc_slice_zeroed::<Long>(1);
    let _ = cx.try_alloc_header_slice_zeroed::<(), Long>((), 1);
}
