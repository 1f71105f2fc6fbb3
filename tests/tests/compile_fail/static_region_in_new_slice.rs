//! X3 holds for every way to allocate.
use heap_api::*;

type Long = GcCell<Option<Gc<'static, u64>>>;

fn main() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let _ = cx.try_alloc(Long::default());
    let _ = cx.alloc_slice_fn(1, |_| Long::default());
    let _ = cx.try_alloc_slice_copy::<Option<Gc<'static, u64>>>(&[None]);
    let _ = cx.alloc_header_slice_copy(Long::default(), &[0_u8]);
    let _ = cx.try_alloc_header_slice_fn((), 1, |_| Long::default());
}
