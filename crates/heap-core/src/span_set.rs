//! An unbounded lock-free set of pointers that many threads fill and empty.
//!
//! The centrals keep their spans in such sets. A set is a chain of blocks of
//! slots; each block hands out its slots in order, once to a pusher and once to
//! a popper, and is unlinked when the last slot has been given to a popper. So
//! items come out roughly in the order they went in, which is all the callers
//! need: another protocol decides who owns what was popped.
//!
//! Any thread may push and pop at any time. No operation waits for another
//! thread: a popper that finds the slot it was given still empty closes the
//! slot, and the pusher that was late takes another one.
//!
//! Where the system refuses the memory for a block the pusher is told, and keeps its items elsewhere
//! (`mcentral`).
//!
//! A set that was never used owns no memory. Blocks start small and grow while
//! the set is long, because a heap has several sets per kind and size class and
//! most of them never hold more than a few spans.
//!
//! Invariants:
//! * Q1: a slot goes from empty to one item or to [`closed`]; only its pusher
//!   stores the item and only its popper takes or closes it. So no item is lost
//!   and none comes out twice.
//! * Q2: `popping <= pushing` in every block: a popper claims only a slot that
//!   some pusher claimed before.
//! * Q3: `tail` is never behind `head` in the chain, and is moved off a block
//!   before `head` is. So a block that `head` has left cannot be reached from the
//!   set, and only threads that were already inside an operation still see it.
//! * Q4: a pop that starts after a push has returned, with no other popper active, finds
//!   an item.
//! * Q5: a block is freed only when no thread that could have seen it is still
//!   inside an operation (epoch-based reclamation; see `reclaim`).
//!
//! The use of such a set in a memory allocator is Go's idea (`mspanset.go`), whose
//! poppers wait for late pushers. The slots that a popper may close are the
//! fetch-and-add array queue of Ramalhete and Correia; the chain with a helped
//! tail is Michael and Scott's queue.
#![allow(
    unsafe_code,
    reason = "blocks shared by a lock-free protocol are reached through raw pointers"
)]

mod reclaim;
#[cfg(all(test, not(heap_loom)))]
mod tests;

use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use heap_sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use heap_sync::bound;
use heap_sync::thread::spin_loop;

use crate::fixalloc::try_box;

/// Slots of the blocks of a long set.
const MAX_BLOCK: usize = bound(512, 2);
/// Slots of the blocks of a short set.
const MIN_BLOCK: usize = bound(32, 2);
/// How often a popper looks again at a slot whose pusher is late.
const MAX_YIELDS: usize = bound(64, 0);

/// An unbounded set of `NonNull<T>`, shared by any number of threads.
///
/// The set stores the pointers and never follows them. Memory written before an
/// item was pushed is visible to the thread that pops it.
pub(crate) struct SpanSet<T>(Queue<T, Sound>);

impl<T> SpanSet<T> {
    /// An empty set, which owns no memory yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        SpanSet(Queue::new())
    }

    /// Adds several items, at about the cost of one. Returns those for which the system has refused the
    /// memory: the last ones.
    #[must_use]
    pub(crate) fn try_push_many<'i>(&self, items: &'i [NonNull<T>]) -> &'i [NonNull<T>] {
        self.0.try_push_many(items)
    }

    /// Takes an item out, or returns `None` if the set is empty.
    ///
    /// An item that another thread is still pushing may or may not be found.
    #[cfg(all(test, not(heap_loom)))]
    #[must_use]
    pub(crate) fn pop(&self) -> Option<NonNull<T>> {
        self.0.pop()
    }

    /// Takes up to `most` items out, at about the cost of one, and hands them
    /// to `sink`. Returns how many; zero only where taking one would have
    /// found none.
    pub(crate) fn pop_many(&self, most: usize, sink: impl FnMut(NonNull<T>)) -> usize {
        self.0.pop_many(most, sink)
    }

    /// Whether a pop would have found nothing at some moment during this call.
    #[inline]
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many items the set holds; exact only while no thread pushes or pops.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T> Default for SpanSet<T> {
    fn default() -> Self {
        SpanSet::new()
    }
}

impl<T> std::fmt::Debug for SpanSet<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpanSet").field("len", &self.len()).finish()
    }
}

/// The choices on which the protocol depends. There is one right answer to each; the
/// model tests run the queue with a wrong one and show that it is caught.
pub(crate) trait Protocol {
    /// Makes what an item points at visible to its popper.
    const PUBLISH: Ordering = Ordering::Release;
    /// Whether the tail is moved off a block before the head is (Q3).
    const TAIL_LEAVES_FIRST: bool = true;
    /// Whether two poppers can never claim the same slot (Q1).
    const CLAIM_ATOMICALLY: bool = true;
    /// Whether closing a slot respects an item that has just arrived (Q1).
    const CLOSE_ONLY_EMPTY: bool = true;
    /// Whether a popper that closed a slot looks further (Q4).
    const LOOK_BEHIND_CLOSED: bool = true;
}

/// The protocol with all choices right.
pub(crate) struct Sound;

impl Protocol for Sound {}

/// The set itself, for any [`Protocol`].
pub(crate) struct Queue<T, P> {
    /// The block that poppers use; null until the first push.
    head: AtomicPtr<Block<T>>,
    /// The block that pushers use, or one before it; null until the first push.
    tail: AtomicPtr<Block<T>>,
    reclaimer: reclaim::Reclaimer<T>,
    protocol: PhantomData<fn() -> P>,
}

/// A run of slots in the chain.
struct Block<T> {
    /// The next slot for a pusher; runs past the end when pushers meet there.
    pushing: AtomicUsize,
    /// The next slot for a popper.
    popping: AtomicUsize,
    slots: Box<[AtomicPtr<T>]>,
    next: AtomicPtr<Block<T>>,
    /// How many slots the blocks before this one had together.
    slots_before: usize,
    #[cfg(heap_loom)]
    stamp: reclaim::Stamp,
}

/// What a popper leaves in the slot of a late pusher. No item has this address,
/// since [`Queue::try_push_many`] requires an alignment of at least 2.
const fn closed<T>() -> *mut T {
    ptr::without_provenance_mut(1)
}

impl<T> Block<T> {
    /// A block whose first slot holds `item`.
    fn boxed(item: NonNull<T>, capacity: usize, slots_before: usize) -> Option<Box<Block<T>>> {
        let mut slots = Vec::new();
        slots.try_reserve_exact(capacity).ok()?;
        slots.push(AtomicPtr::new(item.as_ptr()));
        slots.extend((1..capacity).map(|_| AtomicPtr::new(ptr::null_mut())));
        try_box(Block {
            pushing: AtomicUsize::new(1),
            popping: AtomicUsize::new(0),
            slots: slots.into_boxed_slice(),
            next: AtomicPtr::new(ptr::null_mut()),
            slots_before,
            #[cfg(heap_loom)]
            stamp: reclaim::Stamp::default(),
        })
    }

    /// A block to follow this one, which is full. It is larger if much of this
    /// one is still waiting to be popped.
    fn successor(&self, item: NonNull<T>) -> Option<Box<Block<T>>> {
        let capacity = self.slots.len();
        let waiting = capacity - self.popped();
        let wanted = if waiting > capacity / 2 { (capacity * 4).min(MAX_BLOCK) } else { capacity };
        Block::boxed(item, wanted, self.slots_before + capacity)
    }

    fn pushed(&self) -> usize {
        self.pushing.load(Ordering::Relaxed).min(self.slots.len())
    }

    fn popped(&self) -> usize {
        self.popping.load(Ordering::Relaxed)
    }

    /// Claims up to `most` slots for a pusher; none if all have been given away.
    fn claim_for_push(&self, most: usize) -> &[AtomicPtr<T>] {
        // The check keeps the counter of a full block from growing without bound.
        if self.pushed() == self.slots.len() {
            return &[];
        }
        let first = self.pushing.fetch_add(most, Ordering::Relaxed).min(self.slots.len());
        &self.slots[first..(first + most).min(self.slots.len())]
    }

    /// Claims up to `most` slots for a popper.
    ///
    /// The counters order nothing but themselves: what an item points at is
    /// published by its slot, and a push that happened before this pop is seen
    /// in `pushing` because a thread never reads an older value than it knows of.
    fn claim_for_pop<P: Protocol>(&self, most: usize) -> Claim<'_, T> {
        let mut popped = self.popped();
        loop {
            if popped == self.slots.len() {
                return Claim::Exhausted;
            }
            let pushed = self.pushed();
            if popped >= pushed {
                return Claim::Empty;
            }
            // Q2: no slot that no pusher has claimed.
            let end = pushed.min(popped + most);
            if !P::CLAIM_ATOMICALLY {
                self.popping.store(end, Ordering::Relaxed);
                return Claim::Slots(&self.slots[popped..end]);
            }
            match self.popping.compare_exchange_weak(
                popped,
                end,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Claim::Slots(&self.slots[popped..end]),
                Err(now) => popped = now,
            }
        }
    }
}

/// What a block can offer a popper.
enum Claim<'a, T> {
    /// These slots, at least one, for this popper alone.
    Slots(&'a [AtomicPtr<T>]),
    /// No slot now; later pushes may still use the block.
    Empty,
    /// No slot ever again.
    Exhausted,
}

impl<T, P: Protocol> Queue<T, P> {
    /// An empty set.
    pub(crate) fn new() -> Self {
        Queue {
            head: AtomicPtr::new(ptr::null_mut()),
            tail: AtomicPtr::new(ptr::null_mut()),
            reclaimer: reclaim::Reclaimer::default(),
            protocol: PhantomData,
        }
    }

    /// See [`SpanSet::try_push_many`].
    #[inline]
    pub(crate) fn try_push_many<'i>(&self, mut items: &'i [NonNull<T>]) -> &'i [NonNull<T>] {
        const { assert!(align_of::<T>() > 1, "address 1 marks a closed slot") };
        let guard = self.reclaimer.pin();
        while let [item, others @ ..] = items {
            let tail = self.tail.load(Ordering::Acquire);
            // SAFETY: loaded from `tail` under the guard.
            let Some(block) = (unsafe { guard.block(tail) }) else {
                match self.push_first(*item) {
                    Some(true) => items = others,
                    Some(false) => {}
                    None => break,
                }
                continue;
            };
            let slots = block.claim_for_push(items.len());
            if slots.is_empty() {
                match self.push_in_new_block(tail, block, *item) {
                    Some(true) => items = others,
                    Some(false) => {}
                    None => break,
                }
            }
            for slot in slots {
                // As many slots as items at most, so there is one left to put in.
                let item = items[0].as_ptr();
                let empty = ptr::null_mut();
                if slot.compare_exchange(empty, item, P::PUBLISH, Ordering::Relaxed).is_ok() {
                    items = &items[1..];
                }
                // Else a popper closed the slot before we came; take another.
            }
        }
        items
    }

    /// Gives an unused set its first block. Returns whether `item` went in; none if there is no memory.
    #[cold]
    fn push_first(&self, item: NonNull<T>) -> Option<bool> {
        // The head is set first, and any thread may then set the tail.
        // While the tail is null nothing can follow the first block, so the head
        // still is that block, and the exchange below can only install it.
        let mut done = false;
        let mut first = self.head.load(Ordering::Acquire);
        if first.is_null() {
            let block = Box::into_raw(Block::boxed(item, MIN_BLOCK, 0)?);
            first = match install(&self.head, ptr::null_mut(), block) {
                Ok(()) => {
                    done = true;
                    block
                }
                Err(winner) => {
                    // SAFETY: we allocated the block just now and published it nowhere.
                    drop(unsafe { Box::from_raw(block) });
                    winner
                }
            };
        }
        let _ = install(&self.tail, ptr::null_mut(), first);
        Some(done)
    }

    /// Appends a block to the full block `tail`, or helps to. Returns whether
    /// `item` went in; none if there is no memory.
    #[cold]
    fn push_in_new_block(
        &self,
        tail: *mut Block<T>,
        block: &Block<T>,
        item: NonNull<T>,
    ) -> Option<bool> {
        let mut done = false;
        let mut next = block.next.load(Ordering::Acquire);
        if next.is_null() {
            let new = Box::into_raw(block.successor(item)?);
            next = match install(&block.next, ptr::null_mut(), new) {
                Ok(()) => {
                    done = true;
                    new
                }
                Err(winner) => {
                    // SAFETY: we allocated the block just now and published it nowhere.
                    drop(unsafe { Box::from_raw(new) });
                    winner
                }
            };
        }
        let _ = install(&self.tail, tail, next);
        Some(done)
    }

    /// See [`SpanSet::pop`].
    #[cfg(test)]
    pub(crate) fn pop(&self) -> Option<NonNull<T>> {
        let mut item = None;
        self.pop_many(1, |popped| item = Some(popped));
        item
    }

    /// See [`SpanSet::pop_many`].
    #[inline]
    pub(crate) fn pop_many(&self, most: usize, mut sink: impl FnMut(NonNull<T>)) -> usize {
        if self.head.load(Ordering::Relaxed).is_null() || most == 0 {
            return 0;
        }
        let guard = self.reclaimer.pin();
        loop {
            let head = self.head.load(Ordering::Acquire);
            // SAFETY: loaded from `head` under the guard.
            let Some(block) = (unsafe { guard.block(head) }) else { return 0 };
            match block.claim_for_pop::<P>(most) {
                Claim::Slots(slots) => {
                    let items = slots.iter().filter_map(take::<T, P>);
                    let found = items.map(&mut sink).count();
                    if found > 0 || !P::LOOK_BEHIND_CLOSED {
                        return found;
                    }
                }
                Claim::Empty => return 0,
                Claim::Exhausted => {
                    // SAFETY: loaded from `head` under the guard, above.
                    if !unsafe { self.leave(head, block, &guard) } {
                        return 0;
                    }
                }
            }
        }
    }

    /// Moves the head past the exhausted block `head`. Returns false if no block
    /// follows it.
    ///
    /// # Safety
    ///
    /// `head` was loaded from `self.head` under the guard, and is `block`.
    #[cold]
    unsafe fn leave(&self, head: *mut Block<T>, block: &Block<T>, guard: &reclaim::Guard) -> bool {
        let next = block.next.load(Ordering::Acquire);
        if next.is_null() {
            return false;
        }
        if P::TAIL_LEAVES_FIRST {
            let _ = install(&self.tail, head, next);
        }
        if install(&self.head, head, next).is_ok() {
            // SAFETY: the head has left the block, by our exchange alone, and the tail
            // before it (Q3); both only move forward, and the blocks before this one
            // are gone likewise. So no thread that pins from now on can reach it.
            unsafe { self.reclaimer.retire(head, guard) };
        }
        true
    }

    /// See [`SpanSet::is_empty`].
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        if self.head.load(Ordering::Relaxed).is_null() {
            return true;
        }
        let guard = self.reclaimer.pin();
        let mut at = self.head.load(Ordering::Acquire);
        // SAFETY: loaded from `head`, or from `next` of a block that was reached
        // from `head`, under the guard.
        while let Some(block) = unsafe { guard.block(at) } {
            let popped = block.popped();
            if popped < block.pushed() {
                return false;
            }
            if popped < block.slots.len() {
                return true;
            }
            at = block.next.load(Ordering::Acquire);
        }
        true
    }

    /// See [`SpanSet::len`].
    pub(crate) fn len(&self) -> usize {
        let guard = self.reclaimer.pin();
        let tail = self.tail.load(Ordering::Acquire);
        let head = self.head.load(Ordering::Acquire);
        // SAFETY: both loaded under the guard.
        let (head, tail) = unsafe { (guard.block(head), guard.block(tail)) };
        let (Some(head), Some(mut tail)) = (head, tail) else { return 0 };
        // The tail may be one block behind the pushers.
        // SAFETY: loaded under the guard from a block reached under it.
        while let Some(next) = unsafe { guard.block(tail.next.load(Ordering::Acquire)) } {
            tail = next;
        }
        (tail.slots_before + tail.pushed()).saturating_sub(head.slots_before + head.popped())
    }
}

impl<T, P> Drop for Queue<T, P> {
    fn drop(&mut self) {
        let mut at = self.head.load(Ordering::Acquire);
        while !at.is_null() {
            // SAFETY: we hold the only reference to the set, and a block that is
            // still in the chain has not been retired.
            let block = unsafe { Box::from_raw(at) };
            at = block.next.load(Ordering::Acquire);
        }
    }
}

/// Moves a link from one block to another; on failure, says where it is.
fn install<T>(
    link: &AtomicPtr<Block<T>>,
    from: *mut Block<T>,
    to: *mut Block<T>,
) -> Result<(), *mut Block<T>> {
    link.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).map(drop)
}

/// Takes the item out of a slot that this popper claimed, or closes the slot.
fn take<T, P: Protocol>(slot: &AtomicPtr<T>) -> Option<NonNull<T>> {
    let mut item = slot.load(Ordering::Acquire);
    let mut yields_left = MAX_YIELDS;
    while item.is_null() && yields_left > 0 {
        yields_left -= 1;
        spin_loop();
        item = slot.load(Ordering::Acquire);
    }
    if let Some(item) = NonNull::new(item) {
        return Some(item);
    }
    if !P::CLOSE_ONLY_EMPTY {
        slot.store(closed(), Ordering::Release);
        return None;
    }
    match slot.compare_exchange(ptr::null_mut(), closed(), Ordering::Relaxed, Ordering::Acquire) {
        Ok(_) => None,
        Err(arrived) => NonNull::new(arrived),
    }
}
