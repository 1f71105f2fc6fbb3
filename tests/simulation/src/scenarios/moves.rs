//! Mutators exchange objects among holders on other pages while incremental marking is under way.

use std::sync::Arc;

use heap_api::{AtomicGcCell, Cx, Gc, Heap, Root, Share, Trace};

use super::{join, litter, mutator, safepoint};
use crate::objects::{Item, Lives, config, expect};
use crate::random::Random;

/// An object with a place for an item, on a page with few others.
#[derive(Trace, Share)]
struct Holder<'gc> {
    fill: [u64; 200],
    held: AtomicGcCell<'gc, Item<'gc>>,
}

const HOLDERS: usize = 6;

type Holders = Root<[Gc<'static, Holder<'static>>]>;

/// Takes an item and puts it elsewhere; sometimes a new one in its place, of the same number.
fn exchange(cx: &Cx, holders: &Holders, lives: &Arc<Lives>, random: &mut Random) {
    let holders = holders.get(cx).as_ref();
    let mut hand = holders[random.below(HOLDERS)].held.swap(cx, None);
    if random.one_in(2) {
        hand = holders[random.below(HOLDERS)].held.swap(cx, hand);
    }
    let Some(mut item) = hand else { return };
    let id = item.check();
    if random.one_in(4) {
        item = Item::make(cx, lives, id, None);
    }
    // There are more holders than items and hands.
    while holders[random.below(HOLDERS)].held.compare_exchange(cx, None, Some(item)).is_err() {}
}

/// Keeps an item for a while, in a root of its own.
fn borrow(cx: &mut Cx, holders: &Holders, random: &mut Random) {
    let kept = {
        let item = holders.get(cx)[random.below(HOLDERS)].held.get();
        item.map(|item| (item.check(), cx.root(item)))
    };
    safepoint(cx, random);
    if let Some((id, item)) = kept {
        assert_eq!(item.get(cx).check(), id);
    }
}

pub(super) fn program(random: &mut Random) {
    let heap = Heap::new(config(random));
    let lives = Arc::new(Lives::default());
    let holders: Holders = {
        let cx = heap.enter();
        cx.root(cx.alloc_slice_fn(HOLDERS, |i| {
            let item = (i % 2 > 0).then(|| Item::make(&cx, &lives, i as u64, None));
            cx.alloc(Holder { fill: [i as u64; 200], held: AtomicGcCell::new(item) })
        }))
    };
    let threads = (0..2).map(|_| {
        let (holders, lives) = (holders.clone(), Arc::clone(&lives));
        mutator(&heap, random, move |heap, mut random| {
            let mut cx = heap.enter();
            for _ in 0..5 {
                exchange(&cx, &holders, &lives, &mut random);
                litter(&cx, &mut random);
                borrow(&mut cx, &holders, &mut random);
            }
        })
    });
    join(threads.collect());
    let mut ids: Vec<u64> = {
        let cx = heap.enter();
        let holders = holders.get(&cx).as_ref();
        for (i, holder) in holders.iter().enumerate() {
            assert_eq!(holder.fill, [i as u64; 200], "a holder was overwritten");
        }
        holders.iter().filter_map(|holder| holder.held.get().map(|item| item.check())).collect()
    };
    ids.sort_unstable();
    assert_eq!(ids, [1, 3, 5], "each item is there once");
    expect(&heap, &lives, 3);
}
