//! A map's keys and values are of the map's region.
use heap_api::{Config, Gc, Heap, WeakMap};

fn main() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    let map = cx.root(cx.alloc(WeakMap::<str, Gc<'_, str>>::new()));
    let kept;
    {
        let key = cx.alloc_str("key");
        map.get(&cx).insert(&cx, key, key);
        kept = map.get(&cx).get(key);
    }
    cx.collect();
    drop(kept);
}
