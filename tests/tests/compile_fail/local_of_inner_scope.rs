//! Nor into the scope around it.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    cx.scope(|outer| {
        let mut kept = outer.keep(outer.alloc(1_u64));
        outer.scope(|inner| kept = inner.keep(inner.alloc(2_u64)));
        outer.collect();
        println!("{}", kept.get(outer));
    });
}
