//! A thread outside drops a root and asks for a collection: the one that answers frees the object.

use std::sync::Arc;

use heap_api::Heap;
use heap_sync::atomic::{AtomicUsize, Ordering};
use heap_sync::thread::spawn;

use super::{join, litter, mutator};
use crate::objects::{Item, Lives, config, expect};
use crate::random::Random;

const ROOTS: usize = 3;

/// Works until all roots are dropped; looks after each request whether it was answered.
fn answer(heap: &Heap, lives: &Lives, asked: &AtomicUsize, random: &mut Random) {
    let mut cx = heap.enter();
    let mut done = 0;
    while done < ROOTS {
        litter(&cx, random);
        let now = asked.load(Ordering::Acquire);
        if now == done {
            if random.one_in(4) {
                _ = cx.collect_step()
            } else {
                cx.safepoint()
            }
            cx.park(heap_sync::thread::yield_now);
            continue;
        }
        done = now;
        while cx.should_yield() {
            cx.safepoint();
        }
        heap.release_idle();
        // Another thread may be in the middle of sweeping the last of it.
        cx.verify().unwrap();
        assert!(lives.left() <= (ROOTS - done) as u64, "a request was not answered");
    }
}

pub(super) fn program(random: &mut Random) {
    let heap = Heap::new(config(random));
    let lives = Arc::new(Lives::default());
    let asked = Arc::new(AtomicUsize::new(0));
    let roots: Vec<_> = {
        let cx = heap.enter();
        (0..ROOTS).map(|i| cx.root(Item::make(&cx, &lives, i as u64, None))).collect()
    };
    let asker = {
        let (heap, asked) = (heap.clone(), Arc::clone(&asked));
        spawn(move || {
            for root in roots {
                drop(root);
                heap.request_collection();
                asked.fetch_add(1, Ordering::Release);
            }
        })
    };
    let threads = (0..2).map(|_| {
        let (lives, asked) = (Arc::clone(&lives), Arc::clone(&asked));
        mutator(&heap, random, move |heap, mut random| answer(heap, &lives, &asked, &mut random))
    });
    let threads = threads.collect();
    join(vec![asker]);
    join(threads);
    expect(&heap, &lives, 0);
}
