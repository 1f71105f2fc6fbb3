//! Several mutators want to stop the world at once; what is on their shadow stacks stays.

use std::sync::Arc;

use heap_api::Heap;

use super::{join, litter, mutator, safepoint};
use crate::objects::{Item, Lives, config, expect};
use crate::random::Random;

fn stop(heap: &Heap, lives: &Arc<Lives>, me: u64, random: &mut Random) {
    let mut cx = heap.enter();
    cx.scope(|cx| {
        let list = cx.keep(Item::list(cx, lives, me * 10, 5));
        for _ in 0..4 {
            if random.one_in(2) {
                cx.collect()
            } else {
                safepoint(cx, random)
            }
            litter(cx, random);
            assert_eq!(list.get(cx).check_list().len(), 5);
            // The list grows and shrinks at its second item.
            let head = list.get(cx);
            let second = head.next.get().expect("an item");
            let new = Item::make(cx, lives, second.id, second.next.get());
            head.next.set(cx, Some(new));
        }
        assert_eq!(list.get(cx).check_list(), [4, 3, 2, 1, 0].map(|i| me * 10 + i));
    });
}

pub(super) fn program(random: &mut Random) {
    let heap = Heap::new(config(random));
    let lives = Arc::new(Lives::default());
    let threads = (0..3).map(|me| {
        let lives = Arc::clone(&lives);
        mutator(&heap, random, move |heap, mut random| stop(heap, &lives, me, &mut random))
    });
    join(threads.collect());
    expect(&heap, &lives, 0);
}
