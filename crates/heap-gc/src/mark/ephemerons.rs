//! [`Ephemerons`]: the values that wait for their keys, in linear time.
//!
//! An ephemeron is a pair of a key and a value. It holds its value only while something else holds
//! its key. While a worker traces one whose key is not reached, the value becomes *pending*. When
//! nothing else is left to trace, the pending values are looked at in the order in which they were
//! found: those whose keys are reached by now are edges. If that is none of them, the others are dead;
//! if it is half of them or more, the rest is looked at again. Otherwise the rest is entered in
//! a table by key, and the mark byte of each such key turns *awaited*. A marker of an awaited object
//! says so, and its values are edges then. So each value is looked at a few times, whatever the
//! order, and an object for which nothing waits costs nothing. (Whippet has the same table, keyed by
//! unresolved keys; the awaited state of the mark byte is ours.)
//!
//! * EP1: an awaited object has an entry in the table; when it is marked, it comes into a list of
//!   woken objects, and the values that wait for it are marked from there.
//! * EP2: while several workers mark, the table and the awaited states do not change. So no mark is
//!   lost: a worker's plain store to a mark byte meets another worker's only.
//! * EP3: a value is pending, or in the table, or stuck, or is marked, or some were lost. When marking is
//!   done, the keys of those that are not marked are not reached.
//! * EP4: where there was no memory to note a value that waits, a woken object, or an object with
//!   ephemerons, all that is marked is traced once more when nothing else is left to do, page by page,
//!   and what is noted is found anew. If memory is refused again, so often until one time has marked
//!   nothing: then no value is left whose key is reached. That is not linear, and takes no memory. What
//!   is to be cleared is found by tracing all that is marked as well.
//!
//! The table has a block for each page with awaited objects, with a place for each granule: keys that
//! lie side by side have their entries side by side.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasherDefault;
use std::ptr::NonNull;

use heap_core::geometry::PAGE_GRANULES;
use heap_core::kind::ObjectKind;
use heap_core::location::Location;
use heap_core::mark_byte::prefetch_mark;
use heap_core::marks::Isa;
use heap_core::mheap::{MHeap, PageCursor, PageSearch};
use heap_core::tracer::{Batch, EdgeBuffer, Finds, Holder, Neighbours, Pending, Weakness};

use super::worker::{append, trace_marked, trace_piece};

/// A value that waits, and the next one that waits for the same key: its index, or 0.
#[derive(Debug)]
struct Waiting {
    value: NonNull<u8>,
    next: u32,
}

/// The awaited objects of a page.
#[derive(Debug)]
struct Block {
    /// The first byte of the page.
    page: Location,
    /// For each granule the index of the first value that waits for the object in it, or 0.
    heads: Box<[u32; PAGE_GRANULES]>,
}

/// Addresses of pages are spread by one multiplication.
#[derive(Default)]
struct PageHasher(u64);

impl std::hash::Hasher for PageHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only addresses are hashed");
    }

    fn write_usize(&mut self, address: usize) {
        self.0 = (address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(20);
    }
}

type Pages = HashMap<usize, u32, BuildHasherDefault<PageHasher>>;

/// What is done with pending values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// They are looked at.
    #[default]
    Look,
    /// They are entered in the table, the last one first.
    Enter,
    /// Their keys were not reached when nothing else was left to do.
    Settled,
}

/// The ephemerons of a mark phase.
#[derive(Default)]
pub(super) struct Ephemerons {
    /// Awaited objects that were marked, and whose values were not.
    pub(super) woken: Vec<NonNull<u8>>,
    /// Values that are not in the table. While they are looked at, those between `kept` and `seen`
    /// are none.
    pending: Vec<Pending>,
    /// How many the look has kept, and seen.
    kept: usize,
    seen: usize,
    /// How many of those seen had keys that were reached.
    reached: usize,
    /// Whether anything else may have been marked since the first was seen.
    interrupted: bool,
    /// What a look at all of them has come to.
    stage: Stage,
    /// Values for which the table had no memory: they are all looked at whenever nothing else is
    /// left to do, which is not linear, and needs none.
    stuck: Vec<Pending>,
    /// Objects, and pieces, with ephemerons that may have to be cleared.
    holders: Vec<Holder>,
    /// Whether there was no memory to note all of these (EP4).
    lost: bool,
    /// How far all that is marked was traced once more, or its ephemerons are cleared.
    retrace: Option<PageCursor>,
    /// How many objects were marked when that was begun.
    marked_before: usize,
    /// How many are marked if it has led to nothing.
    retraced_at: Option<usize>,
    pages: Pages,
    blocks: Vec<Block>,
    /// The first one stands for none.
    waiting: Vec<Waiting>,
}

// SAFETY: addresses of objects of a heap, which any thread may mark while the world is stopped.
unsafe impl Send for Ephemerons {}

impl std::fmt::Debug for Ephemerons {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = [&self.pending, &self.stuck].map(Vec::len);
        f.debug_tuple("Ephemerons").field(&counts).finish()
    }
}

/// The system has refused the memory.
struct Refused;

/// Merges two lists by the addresses of the keys, if they are sorted: else the order is another one.
/// Says whether there was memory.
fn merge(to: &mut Vec<Pending>, from: Vec<Pending>) -> bool {
    let (mut left, mut right) = (to.len(), from.len());
    if left == 0 {
        *to = from;
        return true;
    }
    if to.try_reserve(right).is_err() {
        return false;
    }
    to.extend_from_slice(&from);
    // From the end, where there is room.
    for at in (0..to.len()).rev() {
        if right == 0 {
            break;
        }
        if left > 0 && to[left - 1].key > from[right - 1].key {
            left -= 1;
            to[at] = to[left];
        } else {
            right -= 1;
            to[at] = from[right];
        }
    }
    true
}

/// How far ahead the look looks.
const PENDING_AHEAD: usize = 16;

/// Pages whose awaited objects are forgotten between two looks at the clock. In builds with
/// assertions one.
const BLOCKS_FORGOTTEN: usize = if cfg!(debug_assertions) { 1 } else { 64 };

/// Objects with weak fields that are cleared between two looks at the clock; likewise.
const HOLDERS_CLEARED: usize = if cfg!(debug_assertions) { 1 } else { 256 };

impl Ephemerons {
    /// Takes what a worker has found.
    pub(super) fn take_finds(&mut self, finds: &mut Finds) {
        if !finds.pending.is_empty() {
            self.resume();
        }
        let all = append(&mut self.woken, std::mem::take(&mut finds.woken))
            & self.add_pending(std::mem::take(&mut finds.pending))
            & append(&mut self.holders, std::mem::take(&mut finds.holders));
        self.lost |= std::mem::take(&mut finds.weak_lost) | !all;
    }

    /// Adds pending values. Workers that trace parts of one table find what is pending in turns; between
    /// two looks the lists are merged, so that it is looked at in the order of a worker alone.
    fn add_pending(&mut self, found: Vec<Pending>) -> bool {
        match self.seen {
            0 => merge(&mut self.pending, found),
            _ => append(&mut self.pending, found),
        }
    }

    /// Whether nothing is left that might lead to more objects, if there is nothing else and as many
    /// objects are marked.
    pub(super) fn is_settled(&self, marked: usize) -> bool {
        let is_settled = self.pending.is_empty() || self.stage == Stage::Settled;
        is_settled
            && self.woken.is_empty()
            && !self.stuck.iter().any(is_reached)
            && self.retrace.is_none()
            && (!self.lost || self.retraced_at == Some(marked))
    }

    /// The next page whose marked objects are to be traced once more (EP4), when nothing else is left to
    /// do and as many objects are marked. None if there is nothing of the kind to do.
    ///
    /// # Safety
    ///
    /// The world is stopped, and a mark phase of the heap is under way.
    pub(super) unsafe fn retrace(&mut self, heap: &MHeap, marked: usize) -> Option<PageSearch> {
        if self.retrace.is_none() && self.lost && self.retraced_at != Some(marked) {
            // What is noted is found again.
            (self.lost, self.retrace, self.marked_before) =
                (false, Some(PageCursor::default()), marked);
            (self.pending, self.stuck, self.holders) = Default::default();
            (self.kept, self.seen, self.reached, self.interrupted) = Default::default();
            self.stage = Stage::Look;
        }
        // SAFETY: forwarded from the caller: no thread sweeps in a mark phase.
        let found = unsafe { heap.next_traced_page(self.retrace.as_mut()?) };
        if found == PageSearch::Done {
            self.retrace = None;
            self.retraced_at = (marked == self.marked_before).then_some(marked);
            // Something may be pending, or lost again.
            return Some(PageSearch::More);
        }
        Some(found)
    }

    /// Goes on after others may have marked objects.
    pub(super) fn resume(&mut self) {
        if self.stage == Stage::Settled {
            self.stage = Stage::Look;
        }
        // What was seen may be reached by now.
        self.interrupted |= self.seen > 0;
    }

    /// Calls `mark` with the values that wait for an object that was awaited (EP1).
    ///
    /// # Safety
    ///
    /// `key` was awaited in this marking.
    #[inline]
    pub(super) unsafe fn wake(&self, key: NonNull<u8>, mut mark: impl FnMut(NonNull<u8>)) {
        // SAFETY: forwarded from the caller: an object of this heap, whose memory is not swept before
        // this marking is over.
        let key = unsafe { Location::of(key) };
        let Some(block) = self.pages.get(&key.page().pointer().addr().get()) else {
            debug_assert!(false, "EP1");
            return;
        };
        let mut at = self.blocks[*block as usize].heads[key.granule()];
        while at != 0 {
            let Waiting { value, next } = self.waiting[at as usize];
            mark(value);
            at = next;
        }
    }

    /// Looks at up to `limit` values that are not in the table, or enters them (EP3); calls `mark` with
    /// those whose keys are reached. Says whether there is more to do.
    ///
    /// No other worker marks (EP2), and nothing else is left to do.
    pub(super) fn resolve(&mut self, limit: usize, mut mark: impl FnMut(NonNull<u8>)) -> bool {
        match self.stage {
            _ if self.pending.is_empty() => {}
            Stage::Look => {
                self.look_at_some(limit, mark);
                return true;
            }
            Stage::Enter => {
                self.enter_some(limit, mark);
                return true;
            }
            Stage::Settled => {}
        }
        let before = self.stuck.len();
        self.stuck.extract_if(.., |pending| is_reached(pending)).for_each(|pending| {
            mark(pending.value);
        });
        let more = self.stuck.len() < before;
        if more {
            self.resume();
        }
        more
    }

    /// Looks at the next ones.
    fn look_at_some(&mut self, limit: usize, mut mark: impl FnMut(NonNull<u8>)) {
        let end = self.pending.len().min(self.seen + limit);
        for at in self.seen..end {
            if let Some(soon) = self.pending.get(at + PENDING_AHEAD) {
                prefetch_mark(soon.key);
            }
            let pending = self.pending[at];
            if is_reached(&pending) {
                self.reached += 1;
                mark(pending.value);
            } else {
                self.pending[self.kept] = pending;
                self.kept += 1;
            }
        }
        self.seen = end;
        // What is marked may lead to others: they are looked at too before this one is over.
        if end == self.pending.len() {
            self.pending.truncate(self.kept);
            self.stage = if self.reached == 0 && !self.interrupted {
                Stage::Settled
            } else if self.reached * 2 >= self.seen {
                Stage::Look
            } else {
                Stage::Enter
            };
            (self.kept, self.seen, self.reached, self.interrupted) = (0, 0, 0, false);
        }
    }

    /// Enters the last ones.
    fn enter_some(&mut self, limit: usize, mut mark: impl FnMut(NonNull<u8>)) {
        for _ in 0..limit {
            let Some(pending) = self.pending.pop() else {
                self.stage = Stage::Look;
                return;
            };
            if is_reached(&pending) {
                mark(pending.value);
            } else if let Err(Refused) = self.await_key(pending) {
                self.lost |= self.stuck.try_reserve(1).is_err();
                if self.stuck.len() < self.stuck.capacity() {
                    self.stuck.push(pending);
                }
            }
        }
    }

    /// Enters a value whose key is not reached.
    fn await_key(&mut self, pending: Pending) -> Result<(), Refused> {
        // SAFETY: an object of this heap; it turns awaited below, and is in the table then (EP1).
        let key = unsafe { Location::of(pending.key) };
        if self.waiting.is_empty() {
            self.waiting.try_reserve(1).map_err(|_| Refused)?;
            self.waiting.push(Waiting { value: pending.value, next: 0 });
        }
        self.waiting.try_reserve(1).map_err(|_| Refused)?;
        let index = u32::try_from(self.waiting.len()).map_err(|_| Refused)?;
        let page = key.page();
        self.pages.try_reserve(1).map_err(|_| Refused)?;
        let block = match self.pages.entry(page.pointer().addr().get()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                self.blocks.try_reserve(1).map_err(|_| Refused)?;
                let heads = zeroed_heads().ok_or(Refused)?;
                self.blocks.push(Block { page, heads });
                *place.insert((self.blocks.len() - 1) as u32)
            }
        };
        let head = &mut self.blocks[block as usize].heads[key.granule()];
        let next = std::mem::replace(head, index);
        self.waiting.push(Waiting { value: pending.value, next });
        key.mark().await_mark();
        Ok(())
    }

    /// A part of what comes after marking: clears the ephemerons of some objects whose keys were not
    /// reached, and forgets some awaited ones (M1). Says whether that is all. The unit that is
    /// not divided is a number of objects, or a piece of a large one.
    ///
    /// # Safety
    ///
    /// The world is stopped. All that can be reached in the heap is marked, and nothing was swept
    /// since.
    pub(super) unsafe fn clear_some(&mut self, isa: Isa, heap: &MHeap, batch: &mut Batch) -> bool {
        let mut buffer = EdgeBuffer::of(Weakness::Clear);
        if self.lost {
            let cursor = self.retrace.get_or_insert_default();
            // SAFETY: forwarded from the caller.
            match unsafe { heap.next_traced_page(cursor) } {
                PageSearch::Found(page) => {
                    // SAFETY: what is marked lives, and no mutator is inside.
                    unsafe { trace_marked(isa, page, &mut buffer, batch) };
                }
                PageSearch::More => {}
                PageSearch::Done => (self.lost, self.retrace) = (false, None),
            }
            return false;
        }
        if self.holders.is_empty() {
            return self.forget_some();
        }
        for holder in self.holders.drain(self.holders.len().saturating_sub(HOLDERS_CLEARED)..) {
            // SAFETY: it was traced in this marking, so it lives, and is of its page's kind (K1); no
            // mutator is inside. Forwarded from the caller.
            unsafe { trace_again(holder, &mut buffer, batch) };
            buffer.clear_edges();
        }
        false
    }

    /// Forgets some of the objects that are still awaited: they are dead.
    fn forget_some(&mut self) -> bool {
        (self.stuck, self.pending) = (Vec::new(), Vec::new());
        for _ in 0..BLOCKS_FORGOTTEN {
            let Some(Block { page, heads }) = self.blocks.pop() else {
                *self = Ephemerons::default();
                return true;
            };
            for (mark, _) in page.page_marks().iter().zip(&*heads).filter(|(_, head)| **head != 0) {
                mark.forget_await();
            }
        }
        false
    }
}

/// Traces what was traced before, as the buffer's [`Weakness`] says.
///
/// # Safety
///
/// It was traced in this marking, and there are no writers to it.
unsafe fn trace_again(holder: Holder, buffer: &mut EdgeBuffer, batch: &mut Batch) {
    match holder {
        Holder::Object(object) => {
            // SAFETY: forwarded from the caller; nothing is marked.
            let object = unsafe { Location::of(object) };
            let trace = object.kind().and_then(ObjectKind::trace_batch).expect("it was traced");
            batch.clear();
            batch.push(object.granule());
            let page = object.page().pointer().as_ptr();
            // SAFETY: forwarded from the caller: this one object.
            unsafe { buffer.trace(trace, page, batch, Neighbours::Report) };
            // Those with ephemerons to clear are holders themselves.
            while buffer.take_piece().is_some() {}
        }
        Holder::Piece(piece) => {
            // SAFETY: forwarded from the caller.
            unsafe { trace_piece(piece, buffer) };
        }
    }
}

/// Whether the key of a pending value is reached.
pub(super) fn is_reached(pending: &Pending) -> bool {
    // SAFETY: an object of this heap, which is not swept before this marking is over.
    !unsafe { Location::of(pending.key) }.mark().is_white()
}

/// A block's places, all zero; none if the system refuses the memory.
fn zeroed_heads() -> Option<Box<[u32; PAGE_GRANULES]>> {
    let mut heads = Vec::new();
    heads.try_reserve_exact(PAGE_GRANULES).ok()?;
    heads.resize(PAGE_GRANULES, 0);
    heads.into_boxed_slice().try_into().ok()
}

#[cfg(all(test, not(heap_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pending values with these addresses of keys; the values are numbered from `first` on.
    fn list(keys: &[usize], first: usize) -> Vec<Pending> {
        let at = |n: usize| {
            NonNull::without_provenance(std::num::NonZero::new(n + 1).expect("not zero"))
        };
        (first..).zip(keys).map(|(n, key)| Pending { key: at(*key), value: at(n) }).collect()
    }

    proptest! {
        /// Nothing is lost or doubled; what is sorted stays so.
        #[test]
        fn merged_lists_have_what_both_had(
            mut one in prop::collection::vec(0..1000_usize, 0..40),
            mut other in prop::collection::vec(0..1000_usize, 0..40),
            sorted in any::<bool>(),
        ) {
            if sorted {
                one.sort_unstable();
                other.sort_unstable();
            }
            let mut merged = list(&one, 0);
            prop_assert!(merge(&mut merged, list(&other, one.len())));
            if sorted {
                prop_assert!(merged.is_sorted_by_key(|pending| pending.key));
            }
            let mut all = [list(&one, 0), list(&other, one.len())].concat();
            all.sort_unstable_by_key(|pending| pending.value);
            merged.sort_unstable_by_key(|pending| pending.value);
            prop_assert_eq!(merged, all);
        }
    }
}
