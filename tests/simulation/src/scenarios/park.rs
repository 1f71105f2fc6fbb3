//! Mutators that are parked, waiting for each other or in another heap, while others collect.

use std::sync::Arc;

use heap_api::Heap;
use heap_sync::lock::{Condvar, Mutex};

use super::{join, litter, mutator, safepoint};
use crate::objects::{Item, Lives, config, expect};
use crate::random::Random;

/// Whose turn it is.
#[derive(Default)]
struct Turn {
    now: Mutex<u64>,
    changed: Condvar,
}

impl Turn {
    fn wait_for(&self, turn: u64) {
        let mut now = self.now.lock();
        while *now != turn {
            now = self.changed.wait(now);
        }
        *now += 1;
        self.changed.notify_all();
    }
}

const MUTATORS: u64 = 3;
const ROUNDS: u64 = 2;

fn take_turns(heaps: [&Heap; 2], turn: &Turn, lives: &Arc<Lives>, me: u64, random: &mut Random) {
    let [heap, other] = heaps;
    let mut cx = heap.enter();
    cx.scope(|cx| {
        let list = cx.keep(Item::list(cx, lives, me * 10, 3));
        for round in 0..ROUNDS {
            let inner = cx.park(|| {
                turn.wait_for(round * MUTATORS + me);
                let mut cx = other.enter();
                let inner = cx.root(Item::list(&cx, lives, me, 2));
                safepoint(&mut cx, random);
                assert_eq!(inner.get(&cx).check_list(), [me + 1, me]);
                inner
            });
            litter(cx, random);
            assert_eq!(list.get(cx).check_list(), [me * 10 + 2, me * 10 + 1, me * 10]);
            safepoint(cx, random);
            // A root of one heap goes while the thread is in another.
            drop(inner);
        }
    });
}

pub(super) fn program(random: &mut Random) {
    let [heap, other] = [(); 2].map(|()| Heap::new(config(random)));
    let (turn, lives) = (Arc::new(Turn::default()), Arc::new(Lives::default()));
    let threads = (0..MUTATORS).map(|me| {
        let (other, turn, lives) = (other.clone(), Arc::clone(&turn), Arc::clone(&lives));
        mutator(&heap, random, move |heap, mut random| {
            take_turns([heap, &other], &turn, &lives, me, &mut random);
        })
    });
    join(threads.collect());
    heap.enter().collect();
    heap.verify().unwrap();
    other.enter().collect();
    other.verify().unwrap();
    assert_eq!(lives.left(), 0);
    expect(&heap, &lives, 0);
}
