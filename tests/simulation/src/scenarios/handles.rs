//! Weak handles, ephemerons and finalizers are used while incremental marking is under way: what they
//! give out is kept, and what a held key leads to is there.

use std::sync::Arc;

use heap_api::{Ephemeron, Finalizers, Gc, Heap, InternSet, Root, WeakMap, WeakRoot};

use super::{join, litter, mutator, safepoint};
use crate::objects::{Item, Lives, config, expect};
use crate::random::Random;

const PLACES: usize = 4;
const NAMES: usize = 3;

/// Notes about names, which are objects without handles.
type Notes<'gc> = WeakMap<'gc, str, Gc<'gc, Item<'gc>>>;

type Table<'gc> = [Ephemeron<'gc, Item<'gc>, Gc<'gc, Item<'gc>>>];

/// The number of the value of a key.
fn value_of(key: u64) -> u64 {
    key + 1000
}

fn use_handles(heap: &Heap, lives: &Arc<Lives>, random: &mut Random) {
    let mut cx = heap.enter();
    let finalizers = Finalizers::<Item<'static>>::new(heap);
    let table: Root<Table<'static>> = {
        let table: Gc<'_, Table<'_>> = cx.alloc_ephemerons(PLACES);
        cx.root(table)
    };
    let mut names = InternSet::<str>::new(heap);
    let notes = {
        let notes = cx.alloc(Notes::new());
        cx.root(notes)
    };
    let mut noted = [0; NAMES];
    let mut weak: Vec<(u64, WeakRoot<Item<'static>>)> = Vec::new();
    let mut strong: Vec<Root<Item<'static>>> = Vec::new();
    // Which key each place of the table has.
    let mut keys = [u64::MAX; PLACES];
    let mut registered: Vec<u64> = Vec::new();
    for id in 0..8 {
        let place = random.below(PLACES);
        {
            let (key, value) =
                (Item::list(&cx, lives, id, 1), Item::list(&cx, lives, value_of(id), 1));
            table.get(&cx)[place].set(&cx, key, value);
            keys[place] = id;
            weak.push((id, cx.weak_root(key)));
            // Handles enough that clearing them takes several slices.
            for other in (0..16).map(|n| 100 * id + n + 10_000) {
                weak.push((other, cx.weak_root(Item::list(&cx, lives, other, 1))));
            }
            if random.one_in(2) {
                finalizers.register(&cx, key);
                registered.push(id);
            }
            if random.one_in(2) {
                strong.push(cx.root(key));
            }
        }
        litter(&cx, random);
        safepoint(&mut cx, random);
        {
            // A name that is found again has its note.
            let name = random.below(NAMES);
            let mut is_new = false;
            let found = names.find_or_insert(
                &cx,
                name as u32,
                |_| true,
                || {
                    is_new = true;
                    cx.alloc_str("a name that has a slot of its own")
                },
            );
            if is_new {
                noted[name] = 2000 + id;
                notes.get(&cx).insert(&cx, found, Item::list(&cx, lives, noted[name], 1));
            }
            let note = notes.get(&cx).get(found).expect("a name has its note");
            assert_eq!(note.check(), noted[name]);
            if random.one_in(3) {
                strong.push(cx.root(note));
            }
        }
        for (id, weak) in &weak {
            let found = weak.upgrade(&cx);
            if let Some(item) = found {
                assert_eq!(item.check(), *id);
                if random.one_in(4) {
                    strong.push(cx.root(item));
                }
            }
            // One that a finalizer has revived has lost its weak handle. (It is found again through the
            // table.)
            let is_held = strong.iter().any(|root| root.get(&cx).id == *id);
            assert!(found.is_some() || !is_held || registered.contains(id), "a handle was cleared");
        }
        for (place, id) in keys.iter().enumerate() {
            let pair = &table.get(&cx)[place];
            if let Some((key, value)) = pair.get(&cx) {
                assert_eq!((key.check(), value.check()), (*id, value_of(*id)));
                if random.one_in(4) {
                    strong.push(cx.root(value));
                }
            }
            if let Some(key) = strong.iter().map(|root| root.get(&cx)).find(|key| key.id == *id) {
                let value = pair.value_of(key).expect("what a held key leads to is there");
                assert_eq!(value.check(), value_of(*id));
            }
        }
        if random.one_in(2) {
            while let Some(item) = finalizers.next(&cx) {
                let id = item.check();
                if let Some(place) = keys.iter().position(|key| *key == id) {
                    let value = table.get(&cx)[place].value_of(item).expect("kept with its key");
                    assert_eq!(value.check(), value_of(id));
                }
            }
        }
        if random.one_in(3) {
            strong.clear();
        }
    }
    // All that it holds, and each object with its sample.
    cx.verify().unwrap();
}

pub(super) fn program(random: &mut Random) {
    // The verifier finds out if an object has no record.
    let heap = Heap::new(config(random).sample_bytes(1));
    let lives = Arc::new(Lives::default());
    let threads = (0..2).map(|_| {
        let lives = Arc::clone(&lives);
        mutator(&heap, random, move |heap, mut random| use_handles(heap, &lives, &mut random))
    });
    join(threads.collect());
    expect(&heap, &lives, 0);
}
