//! ZA1: what is not a value of zero bytes is not allocated as such: handles,
//! owners, non-zero numbers.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let _ = cx.alloc_zeroed::<Gc<'_, u64>>();
    let _ = cx.try_alloc_zeroed::<std::num::NonZeroU8>();
    let _ = cx.alloc_slice_zeroed::<Box<u8>>(1);
    let _ = cx.try_alloc_slice_zeroed::<GcCell<Gc<'_, u64>>>(1);
    let _ = cx.alloc_header_slice_zeroed::<(), Vec<u8>>((), 1);
}
