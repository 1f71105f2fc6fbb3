//! The span set with real threads.

use super::*;
use heap_sync::thread;
use std::sync::Arc;

/// Items are addresses into a table of counters; popping counts.
fn items(n: usize) -> Vec<AtomicUsize> {
    (0..n).map(|_| AtomicUsize::new(0)).collect()
}

#[test]
fn one_thread_gets_items_back_in_order() {
    let table = items(5000);
    let set = SpanSet::new();
    assert!(set.is_empty() && set.pop().is_none());
    assert_eq!(set.len(), 0);
    for item in &table {
        assert!(set.try_push_many(&[NonNull::from(item)]).is_empty());
    }
    assert_eq!(set.len(), table.len());
    for (i, item) in table.iter().enumerate() {
        assert!(!set.is_empty());
        assert_eq!(set.pop(), Some(NonNull::from(item)), "item {i}");
        assert_eq!(set.len(), table.len() - i - 1);
    }
    assert!(set.is_empty() && set.pop().is_none());
}

/// Batches of every length, across block borders, in order.
#[test]
fn batches_are_the_same_items_in_the_same_order() {
    let table = items(2000);
    let all: Vec<_> = table.iter().map(NonNull::from).collect();
    for length in [1, 2, 3, 7, 31, 32, 33, 600] {
        let set = SpanSet::new();
        all.chunks(length).for_each(|items| assert!(set.try_push_many(items).is_empty()));
        assert_eq!(set.len(), all.len());
        let mut popped = Vec::new();
        while set.pop_many(length, |item| popped.push(item)) > 0 {}
        assert_eq!(popped, all, "in batches of {length}");
        assert!(set.is_empty() && set.pop().is_none());
    }
    let set = SpanSet::<AtomicUsize>::new();
    assert!(set.try_push_many(&[]).is_empty());
    assert!(set.is_empty() && set.pop_many(0, |_| panic!("nothing was asked for")) == 0);
}

#[test]
fn a_short_set_keeps_to_small_blocks() {
    let table = items(3);
    let set = SpanSet::new();
    for _ in 0..1000 {
        for item in &table {
            assert!(set.try_push_many(&[NonNull::from(item)]).is_empty());
        }
        for item in &table {
            assert_eq!(set.pop(), Some(NonNull::from(item)));
        }
    }
    // SAFETY: nobody else uses the set.
    let block = unsafe { &*set.0.tail.load(Ordering::Acquire) };
    assert_eq!(block.slots.len(), MIN_BLOCK);
    assert_eq!(block.slots_before + block.pushed(), 3000);
}

#[test]
fn an_unused_set_is_two_words() {
    assert_eq!(size_of::<SpanSet<AtomicUsize>>(), 2 * size_of::<usize>());
}

#[test]
fn is_shared_between_threads() {
    fn assert_shared<S: Send + Sync>() {}
    assert_shared::<SpanSet<AtomicUsize>>();
}

/// A slot claimed by a pusher that went to sleep is closed, and whatever was
/// pushed behind it is found.
#[test]
fn a_late_pusher_hides_nothing() {
    let table = items(2);
    let set = SpanSet::new();
    assert!(set.try_push_many(&[NonNull::from(&table[0])]).is_empty());
    assert!(set.pop().is_some());
    // SAFETY: nobody else uses the set.
    let block = unsafe { &*set.0.tail.load(Ordering::Acquire) };
    let late = &block.claim_for_push(1)[0];
    assert!(set.try_push_many(&[NonNull::from(&table[1])]).is_empty());
    assert_eq!(set.pop(), Some(NonNull::from(&table[1])));
    assert_eq!(set.pop(), None);
    assert_eq!(late.load(Ordering::Relaxed), closed());
}

#[test]
fn threads_lose_and_double_nothing() {
    const THREADS: usize = 4;
    const EACH: usize = 20_000;
    let set = Arc::new(SpanSet::new());
    let table = Arc::new(items(THREADS * EACH));
    let workers: Vec<_> = (0..THREADS)
        .map(|me| {
            let (set, table) = (set.clone(), table.clone());
            thread::spawn(move || {
                for (n, item) in table[me * EACH..][..EACH].iter().enumerate() {
                    assert!(set.try_push_many(&[NonNull::from(item)]).is_empty());
                    // Different rhythms make the set long and short by turns.
                    if n % (me + 2) != 0 {
                        count(&set);
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    while count(&set) {}
    assert!(set.is_empty());
    for (i, item) in table.iter().enumerate() {
        assert_eq!(item.load(Ordering::Relaxed), 1, "item {i}");
    }
}

fn count(set: &SpanSet<AtomicUsize>) -> bool {
    let item = set.pop();
    if let Some(item) = item {
        // SAFETY: the table outlives the threads.
        unsafe { item.as_ref() }.fetch_add(1, Ordering::Relaxed);
    }
    item.is_some()
}

/// With one popper, the items of each pusher come out in its order.
#[test]
fn one_popper_sees_each_pusher_in_order() {
    const PUSHERS: usize = 3;
    const EACH: usize = 20_000;
    let set = Arc::new(SpanSet::new());
    let table = Arc::new(items(PUSHERS * EACH));
    let pushers: Vec<_> = (0..PUSHERS)
        .map(|me| {
            let (set, table) = (set.clone(), table.clone());
            thread::spawn(move || {
                for item in &table[me * EACH..][..EACH] {
                    assert!(set.try_push_many(&[NonNull::from(item)]).is_empty());
                }
            })
        })
        .collect();
    let base = table.as_ptr().addr();
    let mut next = [0; PUSHERS];
    while next.iter().sum::<usize>() < table.len() {
        let Some(item) = set.pop() else {
            thread::yield_now();
            continue;
        };
        let i = (item.addr().get() - base) / size_of::<AtomicUsize>();
        assert_eq!(i % EACH, next[i / EACH]);
        next[i / EACH] += 1;
    }
    for pusher in pushers {
        pusher.join().unwrap();
    }
    assert!(set.is_empty());
}
