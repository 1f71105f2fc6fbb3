//! Mutators keep to their partitions, whoever used a span last, and nobody is refused because
//! of it.

#![cfg(not(heap_loom))]

mod support;

use heap_core::geometry::PAGE_SIZE;
use heap_core::kind::NOSCAN;
use heap_core::mcache::Cache;
use heap_core::mheap::{MHeap, SPAN_BATCH};
use heap_core::os::SystemOs;
use heap_core::partition::{Partition, Partitioning};
use heap_core::size_class::SizeClass;
use support::{cache_at, collect_everything, config, refill, verify_at_rest};

const BYTES: usize = 1024;

/// Two mutators and what they allocate, all of which dies at once.
struct Pair {
    heap: MHeap,
    caches: [Cache; 2],
}

impl Pair {
    fn new() -> Pair {
        let heap = MHeap::new(config(), Box::new(SystemOs));
        heap.set_partitions(2);
        Pair { heap, caches: [0, 1].map(|n| cache_at(Partition::of_mutator(n))) }
    }

    /// One cycle, in which each mutator fills so many spans, in turn. Returns the
    /// addresses of their first objects.
    fn cycle(&mut self, spans: [usize; 2]) -> [Vec<usize>; 2] {
        let class = SizeClass::for_size(BYTES).expect("a small size");
        self.caches.iter_mut().for_each(|cache| _ = cache.flush(&self.heap));
        collect_everything(&self.heap);
        let mut firsts = [Vec::new(), Vec::new()];
        for turn in 0..spans[0].max(spans[1]) {
            for n in [0, 1] {
                for slot in 0..class.objects_per_span() * usize::from(turn < spans[n]) {
                    let object = refill(&self.heap, &mut self.caches[n], &NOSCAN, class);
                    let address = object.expect("memory").addr().get();
                    if slot == 0 {
                        firsts[n].push(address);
                    }
                }
            }
        }
        firsts
    }
}

/// How many of the spans belong to the `n`th partition of so many.
fn in_partition(n: usize, partitions: usize, spans: &[usize]) -> usize {
    let is_in_partition =
        |address: &&usize| Partitioning::for_mutators(partitions).of_page(**address).index() == n;
    spans.iter().filter(is_in_partition).count()
}

#[cfg_attr(
    target_pointer_width = "32",
    ignore = "counts the pages of stripes behind a 64-bit head"
)]
#[test]
fn what_was_borrowed_goes_back() {
    let mut pair = Pair::new();
    // As many pages for each as its partition has in four stripes.
    for [a, b] in [[128, 128], [250, 6], [6, 250], [200, 56], [56, 200], [128, 128]] {
        let spans = pair.cycle([a, b]);
        // Who takes more than there is in its partition takes others'; nobody starves.
        assert_eq!([spans[0].len(), spans[1].len()], [a, b]);
        // Both may have a batch in store.
        let most = (256 + 2 * SPAN_BATCH) * PAGE_SIZE;
        assert!(pair.heap.memory().in_use <= most, "the heap grows for no reason");
    }
    (0..3).for_each(|_| _ = pair.cycle([120, 120]));
    let spans = pair.cycle([120, 120]);
    for n in [0, 1] {
        let count = in_partition(n, 2, &spans[n]);
        assert!(count >= 108, "mutator {n} has {count} of 120 spans at partition");
    }
    pair.caches.iter_mut().for_each(|cache| _ = cache.flush(&pair.heap));
    verify_at_rest(&pair.heap);
}

#[test]
fn a_mutator_alone_fills_the_heap_in_order() {
    let heap = MHeap::new(config(), Box::new(SystemOs));
    let mut cache = cache_at(Partition::of_mutator(0));
    let class = SizeClass::for_size(BYTES).expect("a small size");
    let addresses: Vec<usize> = (0..100 * class.objects_per_span())
        .map(|_| refill(&heap, &mut cache, &NOSCAN, class).expect("memory").addr().get())
        .collect();
    assert!(addresses.is_sorted());
    assert_eq!(addresses[addresses.len() - 1] - addresses[0], 100 * PAGE_SIZE - BYTES);
}

/// A batch of spans that comes back goes to the partitions of its spans, not to one.
#[cfg_attr(
    target_pointer_width = "32",
    ignore = "counts the pages of stripes behind a 64-bit head"
)]
#[test]
fn a_batch_is_divided() {
    let mut pair = Pair::new();
    pair.heap.set_partitions(1);
    // From the second time on in batches of ten; the last of them are ten neighbours.
    (0..2).for_each(|_| _ = pair.cycle([40, 0]));
    let [spans, _] = pair.cycle([20, 0]);
    let batch = &spans[10..];
    pair.heap.set_partitions(4);
    let partition = Partitioning::for_mutators(4).of_page(batch[9]);
    let there = in_partition(partition.index(), 4, batch);
    assert!((2..10).contains(&there), "{there}: not all of one partition");
    pair.caches[1].move_to(partition);
    let [_, spans] = pair.cycle([0, there]);
    assert_eq!(in_partition(partition.index(), 4, &spans), there);
}

/// Spans that were listed under another division are found.
#[test]
fn a_new_division_loses_nothing() {
    let mut pair = Pair::new();
    pair.cycle([100, 100]);
    let in_use = pair.heap.memory().in_use;
    for mutators in [1, 4, 100, 2] {
        pair.heap.set_partitions(mutators);
        pair.cycle([60, 60]);
        assert!(pair.heap.memory().in_use <= in_use, "{mutators}");
    }
    pair.caches.iter_mut().for_each(|cache| _ = cache.flush(&pair.heap));
    verify_at_rest(&pair.heap);
}
