//! The background sweeper beside mutators that allocate and collect, and a thread that gives memory
//! back.

use std::sync::Arc;

use heap_api::{Heap, Root};
use heap_sync::thread::spawn;

use super::{join, litter, mutator};
use crate::objects::{Item, Lives, config, expect};
use crate::random::Random;

fn allocate(
    heap: &Heap,
    lives: &Arc<Lives>,
    me: u64,
    random: &mut Random,
) -> Vec<Root<Item<'static>>> {
    let mut cx = heap.enter();
    let mut kept = Vec::new();
    for round in 0..6 {
        // Some die at once, some later, some never.
        Item::list(&cx, lives, 1000, random.below(6) as u64 + 1);
        kept.push(cx.root(Item::make(&cx, lives, me * 100 + round, None)));
        if random.one_in(3) {
            kept.remove(random.below(kept.len()));
        }
        litter(&cx, random);
        if random.one_in(3) {
            cx.collect()
        } else {
            cx.safepoint()
        }
        kept.iter().for_each(|item| assert_eq!(item.get(&cx).check() / 100, me));
    }
    kept
}

pub(super) fn program(random: &mut Random) {
    let heap = Heap::new(config(random).background_sweep(true));
    let lives = Arc::new(Lives::default());
    let threads = (0..2).map(|me| {
        let lives = Arc::clone(&lives);
        mutator(&heap, random, move |heap, mut random| allocate(heap, &lives, me, &mut random))
    });
    let threads = threads.collect();
    let looker = heap.clone();
    let looker = spawn(move || {
        for _ in 0..4 {
            looker.release_idle();
            assert!(looker.usage().adds_up());
        }
    });
    let kept: Vec<_> = join(threads).into_iter().flatten().collect();
    join(vec![looker]);
    expect(&heap, &lives, kept.len());
}
