//! [`Ephemerons`]: the values that wait for their keys, in linear time.
//!
//! An ephemeron is a pair of a key and a value. It holds its value only while something else holds
//! its key. While a worker traces one whose key is not reached, the value becomes *pending*. When
//! nothing else is left to trace, the pending values whose keys are still not reached are entered in
//! a table by key, and the mark byte of each such key turns *awaited*. Whoever marks an awaited object
//! says so, and its values are edges then. So each value is looked at once or twice, whatever the
//! order, and an object for which nothing waits costs nothing. (Whippet has the same table, keyed by
//! unresolved keys; the awaited state of the mark byte is ours.)
//!
//! * EP1: an awaited object has an entry in the table; when it is marked, it comes into a list of
//!   woken objects, and the values that wait for it are marked from there.
//! * EP2: while several workers mark, the table and the awaited states do not change. So no mark is
//!   lost: a worker's plain store to a mark byte meets another worker's only.
//! * EP3: a value is pending, or in the table, or stuck, or is marked, or its key is not reached and
//!   will not be.
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
use heap_core::tracer::{Batch, EdgeBuffer, Holder, Neighbours, Pending, WeakFinds, Weakness};

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

/// The ephemerons of a mark phase.
#[derive(Default)]
pub(super) struct Ephemerons {
    /// Awaited objects that were marked, and whose values were not.
    pub(super) woken: Vec<NonNull<u8>>,
    /// Values that are not in the table.
    pub(super) pending: Vec<Pending>,
    /// Values for which the table had no memory: they are all looked at whenever nothing else is
    /// left to do, which is not linear, and needs none.
    stuck: Vec<Pending>,
    /// Objects, and pieces, with ephemerons that may have to be cleared.
    holders: Vec<Holder>,
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

/// Pages whose awaited objects are forgotten between two looks at the clock. In builds with
/// assertions one.
const BLOCKS_FORGOTTEN: usize = if cfg!(debug_assertions) { 1 } else { 64 };

/// Objects with weak fields that are cleared between two looks at the clock; likewise.
const HOLDERS_CLEARED: usize = if cfg!(debug_assertions) { 1 } else { 256 };

impl Ephemerons {
    /// Takes what a worker has found.
    pub(super) fn take_finds(&mut self, finds: &mut WeakFinds) {
        self.woken.append(&mut finds.woken);
        self.pending.append(&mut finds.pending);
        self.holders.append(&mut finds.holders);
    }

    /// Whether nothing is left that might lead to more objects, if there is nothing else.
    pub(super) fn is_settled(&self) -> bool {
        self.woken.is_empty() && self.pending.is_empty() && !self.stuck.iter().any(is_reached)
    }

    /// Calls `mark` with the values that wait for an object that was awaited (EP1).
    #[inline]
    pub(super) fn wake(&self, key: NonNull<u8>, mut mark: impl FnMut(NonNull<u8>)) {
        // SAFETY: it was awaited: an object of this heap, which lives as long as this marking.
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

    /// Looks at up to `limit` values that are not in the table: calls `mark` with those whose keys
    /// are reached, and enters the others (EP3). Returns how many it has looked at. If there were
    /// none it looks at those that are stuck.
    ///
    /// No other worker marks (EP2), and nothing else is left to do.
    pub(super) fn resolve(&mut self, limit: usize, mut mark: impl FnMut(NonNull<u8>)) -> usize {
        let mut count = 0;
        while count < limit
            && let Some(pending) = self.pending.pop()
        {
            count += 1;
            if is_reached(&pending) {
                mark(pending.value);
            } else if let Err(Refused) = self.await_key(pending) {
                self.stuck.push(pending);
            }
        }
        if count == 0 {
            self.stuck.extract_if(.., |pending| is_reached(pending)).for_each(|pending| {
                count += 1;
                mark(pending.value);
            });
        }
        count
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
    /// The world is stopped. All that can be reached is marked, and nothing was swept since.
    pub(super) unsafe fn clear_some(&mut self) -> bool {
        if self.holders.is_empty() {
            return self.forget_some();
        }
        let mut buffer = EdgeBuffer::of(Weakness::Clear);
        let mut batch = Batch::default();
        for holder in self.holders.drain(self.holders.len().saturating_sub(HOLDERS_CLEARED)..) {
            // SAFETY: it was traced in this marking, so it lives, and is of its page's kind (K1); no
            // mutator is inside. Forwarded from the caller.
            unsafe { trace_again(holder, &mut buffer, &mut batch) };
            buffer.clear_edges();
        }
        false
    }

    /// Forgets some of the objects that are still awaited: they are dead.
    fn forget_some(&mut self) -> bool {
        self.stuck = Vec::new();
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
            let kind = unsafe { Location::of(piece.object) }.kind();
            let trace =
                kind.and_then(ObjectKind::trace_piece).expect("only such kinds defer pieces");
            // SAFETY: forwarded from the caller.
            unsafe { buffer.trace_piece(trace, piece) };
        }
    }
}

/// Whether the key of a pending value is reached.
fn is_reached(pending: &Pending) -> bool {
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
