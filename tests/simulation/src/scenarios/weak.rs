//! Intern sets are looked into while incremental marking is under way: what they show is kept.

use std::sync::Arc;

use heap_api::{Heap, InternSet};

use super::{join, litter, mutator, safepoint};
use crate::objects::{Item, Lives, config, expect};
use crate::random::Random;

const NAMES: usize = 4;

fn intern(heap: &Heap, lives: &Arc<Lives>, random: &mut Random) {
    let mut set = InternSet::<Item<'static>>::new(heap);
    let mut cx = heap.enter();
    for _ in 0..6 {
        let id = random.below(NAMES) as u64;
        let kept = {
            // Half of them share a hash: the search shows others, too.
            let hash = id as u32 / 2;
            let (same, make) =
                (|item: &Item<'_>| item.check() == id, || Item::list(&cx, lives, id, 1));
            let found = set.find_or_insert(&cx, hash, same, make);
            let again = set.find(&cx, hash, same).expect("what is there is found");
            assert!(again.ptr_eq(found), "a name is there once");
            cx.root(found)
        };
        litter(&cx, random);
        safepoint(&mut cx, random);
        assert_eq!(kept.get(&cx).check(), id);
        // Once, and perhaps once more as the dead do until the table is cleared.
        assert!(set.len(&cx) <= 2 * NAMES, "a name is there once");
    }
}

pub(super) fn program(random: &mut Random) {
    let heap = Heap::new(config(random));
    let lives = Arc::new(Lives::default());
    let threads = (0..2).map(|_| {
        let lives = Arc::clone(&lives);
        mutator(&heap, random, move |heap, mut random| intern(heap, &lives, &mut random))
    });
    join(threads.collect());
    expect(&heap, &lives, 0);
}
