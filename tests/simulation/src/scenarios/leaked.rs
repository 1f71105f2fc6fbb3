//! A thread ends inside: the heap cannot collect any more, and nobody waits for that.

use std::sync::Arc;

use heap_api::{Config, Heap, VerifyError};

use super::{join, litter, mutator};
use crate::objects::{Item, Lives};
use crate::random::Random;

pub(super) fn program(random: &mut Random) {
    // The heap is leaked with the context, so it must have no threads of its own.
    let heap = Heap::new(Config::new().huge_pages(false).min_heap_bytes(0));
    let lives = Arc::new(Lives::default());
    let leaker = mutator(&heap, random, |heap, mut random| {
        let cx = heap.enter();
        for _ in 0..random.below(8) {
            litter(&cx, &mut random);
        }
        std::mem::forget(cx);
    });
    let others = (0..2).map(|i| {
        let lives = Arc::clone(&lives);
        mutator(&heap, random, move |heap, mut random| {
            let mut cx = heap.enter();
            let list = cx.root(Item::list(&cx, &lives, i * 10, 3));
            for _ in 0..3 {
                if random.one_in(2) {
                    cx.collect()
                } else {
                    cx.safepoint()
                }
                assert_eq!(list.get(&cx).check_list().len(), 3);
            }
        })
    });
    let others = others.collect();
    join(vec![leaker]);
    join(others);
    let before = heap.stats().collections;
    heap.enter().collect();
    assert_eq!(heap.stats().collections, before, "collected beside a context that was leaked");
    assert!(matches!(heap.verify(), Err(VerifyError::Unchecked(_))));
}
