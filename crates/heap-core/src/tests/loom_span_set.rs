//! The span set under the model checker, whole and with one part broken.
//!
//! Blocks have two slots here, so that every program below crosses a block
//! border. Each property is checked on the real protocol; then on one in which
//! the part that should guarantee it is wrong, and that must fail.

use std::ptr::NonNull;
use std::sync::Arc;

use heap_sync::atomic::{AtomicUsize, Ordering};
use heap_sync::model::{check, check_bounded};
use loom::thread;

use crate::span_set::{Protocol, Queue, Sound};

/// An item is a flag that its pusher sets, without ordering, before the push.
type Item = AtomicUsize;

/// A set and the items to put in. The items are leaked to the end of the model
/// run by being owned here.
struct World<P> {
    set: Queue<Item, P>,
    items: Vec<Item>,
}

impl<P: Protocol + 'static> World<P> {
    fn new(items: usize) -> Arc<World<P>> {
        let items = (0..items).map(|_| AtomicUsize::new(0)).collect();
        Arc::new(World { set: Queue::new(), items })
    }

    fn push(&self, i: usize) {
        self.items[i].store(1, Ordering::Relaxed);
        assert!(self.set.try_push_many(&[NonNull::from(&self.items[i])]).is_empty());
    }

    /// Pops; the index of the item. What its pusher wrote must be visible.
    fn pop(&self) -> Option<usize> {
        let item = self.set.pop()?;
        let i = (item.addr().get() - self.items.as_ptr().addr()) / size_of::<Item>();
        assert_eq!(self.items[i].load(Ordering::Relaxed), 1, "item {i} is not visible");
        Some(i)
    }

    fn spawn<R: 'static>(
        self: &Arc<Self>,
        run: impl FnOnce(&Self) -> R + 'static,
    ) -> thread::JoinHandle<R> {
        let world = Arc::clone(self);
        thread::spawn(move || run(&world))
    }

    /// Pops what is left; with `popped` it must be every item once.
    fn settle(&self, mut popped: Vec<usize>) {
        popped.extend(std::iter::from_fn(|| self.pop()));
        assert!(self.set.is_empty());
        assert_eq!(self.set.len(), 0);
        popped.sort_unstable();
        assert_eq!(popped, (0..self.items.len()).collect::<Vec<_>>(), "lost or doubled");
    }
}

/// Batches, over the same table.
impl<P: Protocol + 'static> World<P> {
    fn push_many(&self, items: std::ops::Range<usize>) {
        let set = |i: usize| {
            self.items[i].store(1, Ordering::Relaxed);
            NonNull::from(&self.items[i])
        };
        assert!(self.set.try_push_many(&items.map(set).collect::<Vec<_>>()).is_empty());
    }

    fn pop_many(&self, most: usize) -> Vec<usize> {
        let mut popped = Vec::new();
        self.set.pop_many(most, |item| {
            let i = (item.addr().get() - self.items.as_ptr().addr()) / size_of::<Item>();
            assert_eq!(self.items[i].load(Ordering::Relaxed), 1, "item {i} is not visible");
            popped.push(i);
        });
        popped
    }
}

/// What a pusher wrote before the push is visible to the popper.
fn publication<P: Protocol + 'static>() {
    check(|| {
        let world = World::<P>::new(3);
        world.push(0);
        let pusher = world.spawn(|w| {
            w.push(1);
            w.push(2);
        });
        let popped = [world.pop(), world.pop()].into_iter().flatten().collect();
        pusher.join().unwrap();
        world.settle(popped);
    });
}

/// A popper that meets late pushers loses and doubles nothing.
fn late_pushers<P: Protocol + 'static>() {
    check(|| {
        let world = World::<P>::new(2);
        world.push(0);
        let pusher = world.spawn(|w| w.push(1));
        let popped = [world.pop(), world.pop()].into_iter().flatten().collect();
        pusher.join().unwrap();
        world.settle(popped);
    });
}

/// The same with two pushers and a popper on an unused set.
fn two_pushers<P: Protocol + 'static>() {
    check_bounded(3, || {
        let world = World::<P>::new(3);
        let pusher = world.spawn(|w| w.push(0));
        let popper = world.spawn(|w| [w.pop(), w.pop()]);
        world.push(1);
        world.push(2);
        pusher.join().unwrap();
        world.settle(popper.join().unwrap().into_iter().flatten().collect());
    });
}

/// Two poppers never get the same item, and leave none behind.
fn two_poppers<P: Protocol + 'static>() {
    check_bounded(3, || {
        let world = World::<P>::new(3);
        (0..3).for_each(|i| world.push(i));
        let popper = world.spawn(|w| [w.pop(), w.pop()]);
        let mut popped: Vec<_> = [world.pop(), world.pop()].into_iter().flatten().collect();
        popped.extend(popper.join().unwrap().into_iter().flatten());
        world.settle(popped);
    });
}

/// No thread reaches a block that was retired before the thread pinned: a
/// pusher appends a block and is overtaken by poppers before it moves the tail.
fn reclamation<P: Protocol + 'static>() {
    check(|| {
        let world = World::<P>::new(4);
        world.push(0);
        world.push(1);
        let pusher = world.spawn(|w| w.push(2));
        let mut popped: Vec<_> = (0..3).filter_map(|_| world.pop()).collect();
        world.push(3);
        popped.extend(world.pop());
        pusher.join().unwrap();
        world.settle(popped);
    });
}

/// Whatever a concurrent pusher does, items whose push has returned are found.
fn finished_pushes_are_found<P: Protocol + 'static>() {
    check(|| {
        let world = World::<P>::new(3);
        world.push(0);
        let late = world.spawn(|w| w.push(1));
        world.push(2);
        let mut popped = Vec::new();
        while !(popped.contains(&0) && popped.contains(&2)) {
            assert!(!world.set.is_empty(), "a finished push is not counted");
            popped.push(world.pop().expect("a finished push is found"));
        }
        late.join().unwrap();
        world.settle(popped);
    });
}

/// Batches that cross a block border and meet closed slots lose and double
/// nothing.
fn batches<P: Protocol + 'static>() {
    check_bounded(3, || {
        let world = World::<P>::new(4);
        world.push(0);
        let pusher = world.spawn(|w| w.push_many(1..4));
        let mut popped = world.pop_many(2);
        popped.extend(world.pop_many(2));
        pusher.join().unwrap();
        world.settle(popped);
    });
}

/// Two poppers of batches never share an item.
fn batches_apart<P: Protocol + 'static>() {
    check_bounded(3, || {
        let world = World::<P>::new(3);
        world.push_many(0..3);
        let popper = world.spawn(|w| w.pop_many(2));
        let mut popped = world.pop_many(2);
        popped.extend(popper.join().unwrap());
        world.settle(popped);
    });
}

/// Two threads race to give the set its first block.
fn first_block<P: Protocol + 'static>() {
    check(|| {
        let world = World::<P>::new(2);
        let pusher = world.spawn(|w| {
            w.push(0);
            w.pop()
        });
        world.push(1);
        let mut popped: Vec<_> = world.pop().into_iter().collect();
        popped.extend(pusher.join().unwrap());
        world.settle(popped);
    });
}

#[test]
fn loom_publication() {
    publication::<Sound>();
}

#[test]
fn loom_late_pushers() {
    late_pushers::<Sound>();
}

#[test]
fn loom_two_pushers() {
    two_pushers::<Sound>();
}

#[test]
fn loom_two_poppers() {
    two_poppers::<Sound>();
}

#[test]
fn loom_reclamation() {
    reclamation::<Sound>();
}

#[test]
fn loom_finished_pushes_are_found() {
    finished_pushes_are_found::<Sound>();
}

#[test]
fn loom_batches() {
    batches::<Sound>();
}

#[test]
fn loom_batches_apart() {
    batches_apart::<Sound>();
}

#[test]
#[should_panic(expected = "lost or doubled")]
fn loom_mutant_blind_close_of_a_batch() {
    batches::<BlindClose>();
}

#[test]
#[should_panic(expected = "lost or doubled")]
fn loom_mutant_shared_claim_of_a_batch() {
    batches_apart::<SharedClaim>();
}

#[test]
fn loom_first_block() {
    first_block::<Sound>();
}

/// Publishes nothing.
struct RelaxedPush;

impl Protocol for RelaxedPush {
    const PUBLISH: Ordering = Ordering::Relaxed;
}

#[test]
#[should_panic(expected = "is not visible")]
fn loom_mutant_relaxed_push() {
    publication::<RelaxedPush>();
}

/// Leaves the tail on a block that is retired.
struct TailStays;

impl Protocol for TailStays {
    const TAIL_LEAVES_FIRST: bool = false;
}

#[test]
#[should_panic(expected = "reached a block retired before pinning")]
fn loom_mutant_tail_stays() {
    reclamation::<TailStays>();
}

/// Closes a slot although an item may have arrived.
struct BlindClose;

impl Protocol for BlindClose {
    const CLOSE_ONLY_EMPTY: bool = false;
}

#[test]
#[should_panic(expected = "lost or doubled")]
fn loom_mutant_blind_close() {
    late_pushers::<BlindClose>();
}

/// Claims a slot by looking and then writing.
struct SharedClaim;

impl Protocol for SharedClaim {
    const CLAIM_ATOMICALLY: bool = false;
}

#[test]
#[should_panic(expected = "lost or doubled")]
fn loom_mutant_shared_claim() {
    two_poppers::<SharedClaim>();
}

/// Takes a late pusher for an empty set.
struct GivesUp;

impl Protocol for GivesUp {
    const LOOK_BEHIND_CLOSED: bool = false;
}

#[test]
#[should_panic(expected = "a finished push is found")]
fn loom_mutant_gives_up() {
    finished_pushes_are_found::<GivesUp>();
}
