//! Roots are made by one thread, cloned and dropped by others, in a heap or not, while marking is
//! under way.

use std::sync::Arc;

use heap_api::{Heap, Root};
use heap_sync::lock::Mutex;
use heap_sync::thread::spawn;

use super::{join, litter, mutator, safepoint};
use crate::objects::{Item, Lives, config, expect};
use crate::random::Random;

type Roots = Mutex<Vec<Root<Item<'static>>>>;

/// Adds items, and replaces some by what they lead to.
fn make(heap: &Heap, roots: &Roots, lives: &Arc<Lives>, random: &mut Random) {
    let mut cx = heap.enter();
    for id in 0..5 {
        let root = cx.root(Item::list(&cx, lives, id * 10, 2));
        roots.lock().push(root);
        litter(&cx, random);
        safepoint(&mut cx, random);
        let taken = roots.lock().pop();
        if let Some(mut root) = taken {
            let next = root.get(&cx).next.get();
            if let Some(next) = next.filter(|_| random.one_in(2)) {
                next.check();
                root.set(&cx, next);
            }
            root.get(&cx).check_list();
            roots.lock().push(root);
        }
    }
}

/// Clones and drops, without being in the heap.
fn juggle(roots: &Roots, random: &mut Random) {
    for _ in 0..8 {
        let taken = roots.lock().pop();
        let Some(root) = taken else { continue };
        let copy = root.clone();
        if random.one_in(2) {
            drop(root);
            roots.lock().insert(0, copy);
        } else if random.one_in(3) {
            roots.lock().push(root);
        }
    }
}

pub(super) fn program(random: &mut Random) {
    let heap = Heap::new(config(random));
    let lives = Arc::new(Lives::default());
    let roots: Arc<Roots> = Arc::default();
    let makers = (0..2).map(|_| {
        let (roots, lives) = (Arc::clone(&roots), Arc::clone(&lives));
        mutator(&heap, random, move |heap, mut random| make(heap, &roots, &lives, &mut random))
    });
    let mut threads: Vec<_> = makers.collect();
    let (shared, mut numbers) = (Arc::clone(&roots), random.split());
    threads.push(spawn(move || juggle(&shared, &mut numbers)));
    join(threads);
    let left = std::mem::take(&mut *roots.lock());
    // Each root has a list of its own, or the rest of one.
    let items = {
        let cx = heap.enter();
        left.iter().map(|root| root.get(&cx).check_list().len()).sum()
    };
    assert_eq!(heap.stats().roots, left.len() as u64);
    expect(&heap, &lives, items);
    drop(left);
    expect(&heap, &lives, 0);
}
