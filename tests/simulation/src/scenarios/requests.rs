//! A thread outside drops a root and asks for a collection: the one that answers frees the object.

use std::sync::Arc;
use std::time::Duration;

use heap_api::Heap;
use heap_sync::atomic::{AtomicUsize, Ordering};
use heap_sync::thread::{spawn, yield_now};

use super::{join, litter, mutator};
use crate::objects::{Item, Lives, config, expect};
use crate::random::Random;

const ROOTS: usize = 3;
/// Items that stay, so that a mark phase has some steps.
const KEPT: u64 = 10;

/// Works until all roots are dropped; looks after each request whether it was answered.
fn answer(heap: &Heap, lives: &Lives, asked: &AtomicUsize, random: &mut Random) {
    let mut cx = heap.enter();
    let mut done = 0;
    while done < ROOTS {
        litter(&cx, random);
        let now = asked.load(Ordering::Acquire);
        if now == done {
            if random.one_in(2) {
                _ = cx.collect_step()
            } else {
                cx.safepoint()
            }
            cx.park(yield_now);
            continue;
        }
        done = now;
        while cx.should_yield() {
            cx.safepoint();
            // If another thread is about to do what is left, a safepoint does not wait for it.
            yield_now();
        }
        heap.release_idle();
        // Another thread may be in the middle of sweeping the last of it.
        cx.verify().unwrap();
        assert!(lives.left() <= KEPT + (ROOTS - done) as u64, "a request was not answered");
    }
}

pub(super) fn program(random: &mut Random) {
    // Under stress a collection is always requested. In slices, so that requests meet collections
    // that have begun.
    let slice = Duration::from_micros(10);
    let heap = Heap::new(config(random).stress(false).mark_slice(slice));
    let lives = Arc::new(Lives::default());
    let asked = Arc::new(AtomicUsize::new(0));
    let kept = {
        let cx = heap.enter();
        cx.root(Item::list(&cx, &lives, 100, KEPT))
    };
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
    let kept = kept.get(&heap.enter()).check_list().len();
    expect(&heap, &lives, kept);
}
