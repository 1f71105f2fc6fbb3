//! Nothing in a raw block is looked at, so there is no view of it as handles.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let mut block = cx.try_stack_block(1000).unwrap();
    block.slots_mut::<Gc<'_, u64>>()[0].write(cx.alloc(1));
}
