//! Nor through a variable.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let mut kept = None;
    cx.scope(|scope| kept = Some(scope.keep(scope.alloc(1_u64))));
    let _ = kept.unwrap().get(&cx);
}
