//! What was in a block is gone with it.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let mut block = cx.try_stack_block(1000).unwrap();
    let slots = block.slots_mut::<u64>();
    block.release(&cx);
    slots[0].write(1);
}
