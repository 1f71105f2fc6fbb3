//! I4: nor does a set, which would give its objects to two threads.
use heap_api::*;

fn main() {
    let heap = Heap::new(Config::new());
    let set = InternSet::<GcCell<u64>>::new(&heap);
    std::thread::spawn(move || drop(set));
}
