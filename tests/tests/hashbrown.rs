//! Collections of hashbrown in objects: what they hold is kept.

use std::hash::RandomState;

use hashbrown::{HashMap, HashSet, HashTable};
use heap_api::{Config, Gc, GcRefCell, Heap, Trace};

#[derive(Trace)]
struct Holder<'gc> {
    map: GcRefCell<HashMap<u32, Gc<'gc, [u64]>, RandomState>>,
    set: HashSet<Gc<'gc, str>, RandomState>,
    table: HashTable<Gc<'gc, [u64]>>,
}

#[test]
fn collections_of_hashbrown_hold_handles() {
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    let holder = {
        let mut set = HashSet::with_hasher(RandomState::new());
        set.insert(cx.alloc_str("in the set"));
        let mut table = HashTable::new();
        let in_table = cx.alloc_slice_copy(&[7_u64; 3]);
        table.insert_unique(7, in_table, |value| value[0]);
        let map = GcRefCell::new(HashMap::with_hasher(RandomState::new()));
        let holder = cx.alloc(Holder { map, set, table });
        holder.map.borrow_mut(&cx).insert(1, cx.alloc_slice_copy(&[1_u64; 3]));
        cx.root(holder)
    };
    cx.collect();
    cx.collect();
    cx.verify().expect("a sound heap");
    let holder = holder.get(&cx);
    assert_eq!(holder.map.borrow()[&1][..], [1; 3]);
    assert!(holder.set.iter().any(|text| &**text == "in the set"));
    assert_eq!(holder.table.find(7, |value| value[0] == 7).expect("there")[..], [7; 3]);
}
