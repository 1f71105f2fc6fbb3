//! Mutators come and go while others collect; what they leave in roots stays.

use std::sync::Arc;

use heap_api::{Heap, Root};

use super::{join, litter, mutator, safepoint};
use crate::objects::{Item, Lives, config, expect};
use crate::random::Random;

fn come_and_go(
    heap: &Heap,
    lives: &Arc<Lives>,
    first: u64,
    random: &mut Random,
) -> Root<Item<'static>> {
    let list = {
        let cx = heap.enter();
        litter(&cx, random);
        cx.root(Item::list(&cx, lives, first, 4))
    };
    for _ in 0..3 {
        let mut cx = heap.enter();
        Item::make(&cx, lives, first, Some(list.get(&cx)));
        assert_eq!(list.get(&cx).check_list(), [first + 3, first + 2, first + 1, first]);
        if random.one_in(2) {
            safepoint(&mut cx, random);
        }
    }
    list
}

pub(super) fn program(random: &mut Random) {
    let heap = Heap::new(config(random));
    let lives = Arc::new(Lives::default());
    let threads = (0..3).map(|i| {
        let lives = Arc::clone(&lives);
        mutator(&heap, random, move |heap, mut random| {
            come_and_go(heap, &lives, i * 10, &mut random)
        })
    });
    let lists = join(threads.collect());
    {
        let mut cx = heap.enter();
        safepoint(&mut cx, random);
        for (i, list) in lists.iter().enumerate() {
            let first = i as u64 * 10;
            assert_eq!(list.get(&cx).check_list(), [first + 3, first + 2, first + 1, first]);
        }
    }
    expect(&heap, &lives, 12);
}
