//! Mutators allocate up to the heap's limit: refusals, and no end of waiting.

use std::sync::Arc;

use heap_api::Heap;

use super::{join, mutator};
use crate::objects::{Item, Lives, config, expect};
use crate::random::Random;

const LIMIT: usize = 40 << 13;
const MUTATORS: u64 = 3;
/// Lists and items in each: together half of the limit.
const LISTS: usize = 3;
const LEN: u64 = 8;

fn fill(heap: &Heap, lives: &Arc<Lives>, me: u64, random: &mut Random) {
    let mut cx = heap.enter();
    let mut kept = Vec::new();
    let mut refused = 0;
    for round in 0..8 {
        let list = {
            let made = (0..LEN).try_fold(None, |list, id| {
                Item::try_make(&cx, lives, me * 1000 + round * 10 + id, list).map(Some)
            });
            made.flatten().map(|list| cx.root(list))
        };
        match list {
            Some(list) => {
                kept.push(list);
                refused = 0;
            }
            None => {
                // The others may have all of it, but not forever.
                refused += 1;
                assert!(refused < 6, "refused again and again");
                kept.clear();
                if random.one_in(2) { cx.safepoint() } else { cx.collect() }
            }
        }
        if kept.len() > random.below(LISTS) {
            kept.remove(0);
        }
        kept.iter().for_each(|list| assert_eq!(list.get(&cx).check_list().len(), LEN as usize));
        cx.safepoint();
    }
}

pub(super) fn program(random: &mut Random) {
    let heap = Heap::new(config(random).max_heap_bytes(LIMIT));
    let lives = Arc::new(Lives::default());
    let threads = (0..MUTATORS).map(|me| {
        let lives = Arc::clone(&lives);
        mutator(&heap, random, move |heap, mut random| fill(heap, &lives, me, &mut random))
    });
    join(threads.collect());
    expect(&heap, &lives, 0);
    let mut cx = heap.enter();
    let large = cx.try_alloc_slice_copy(&vec![7_u64; LIMIT / 2 / 8]).map(|slice| slice.len());
    assert_eq!(large.ok(), Some(LIMIT / 2 / 8), "an empty heap has room");
    cx.safepoint();
}
