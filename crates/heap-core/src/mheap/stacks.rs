//! Manual spans and the pool of stack blocks that they are cut into. (Go:
//! `stackpool` and `stackalloc`, `stackfree`.)
//!
//! A block is raw memory that its owner returns; it is not garbage collected, and the
//! heap does not read its contents. Small blocks come in powers of two, an [`Order`]
//! each, and are cut from spans of one order. A larger block is a span of its own.
//! Pages are charged against the heap's limit like those of objects (Y2).
//!
//! One lock guards the pool; mutators keep caches (`stack`) so that they take it
//! seldom. Any thread may return a block at any time, inside the heap or not: only the
//! holder of the lock sees the pool at rest. The lock is taken before the page lock, and
//! not held while anything is swept.
//!
//! * SK2: a block is either out (with its owner or in a cache) or its bit is set in
//!   `free` of its slab, and then it is not in use.
//! * SK3: a slab is listed in `partial` of its order iff some of its blocks are free;
//!   one whose blocks are all free is given back at once.
//! * SK4: `stack_bytes` are the bytes of the slabs' pages.
//! * SK7: while the collector holds blocks, one that comes back and that pieces were deferred of is *held*:
//!   it is chained, and stays as it is. So what it has in it may be traced until the mark phase is over,
//!   whatever becomes of its owner. Others, such as those that come and go between two steps, are used
//!   again at once.
//! * SK5: the heap is mapped as long as a block is out: each slab owns a share of it.

#[cfg(all(test, not(heap_loom), not(heap_asan)))]
mod tests;

use core::ptr::NonNull;

use heap_sync::atomic::{AtomicBool, Ordering};
use heap_sync::lock::{Arc, MutexGuard};

use super::{Fill, MHeap};
use crate::asan;
use crate::corrupt;
use crate::error::{OutOfMemory, VerifyError, ensure};
use crate::geometry::{ARENA_SIZE, PAGE_SIZE, pages_for};
use crate::location::Location;
use crate::mspan::ManualSpan;
use crate::os::Reservation;
use crate::partition::Partition;
use crate::sweep::{POISON, is_in_destructor};

/// Number of orders.
pub const ORDERS: usize = 6;
/// Pages of a span that is cut into blocks: one block of the largest order.
const SLAB_PAGES: usize = (Order::SMALLEST << (ORDERS - 1)) / PAGE_SIZE;

/// The size of a block: the number of times that a kibibyte is doubled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order(u8);

impl Order {
    /// Bytes of the smallest blocks.
    pub(crate) const SMALLEST: usize = 1 << 10;

    /// The smallest order whose blocks have room for `bytes` bytes. `None` if no order has.
    #[inline]
    #[must_use]
    pub fn of(bytes: usize) -> Option<Order> {
        if bytes > Order::SMALLEST << (ORDERS - 1) {
            return None;
        }
        let doublings = bytes.div_ceil(Order::SMALLEST).next_power_of_two().trailing_zeros();
        Some(Order(doublings as u8))
    }

    /// All orders.
    pub fn all() -> impl Iterator<Item = Order> {
        (0..ORDERS as u8).map(Order)
    }

    /// Bytes of a block.
    #[inline]
    #[must_use]
    pub fn block_bytes(self) -> usize {
        Order::SMALLEST << self.0
    }

    /// Its number, below [`ORDERS`].
    #[inline]
    #[must_use]
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Blocks of a slab.
    fn blocks(self) -> u32 {
        1 << (ORDERS - 1 - self.index())
    }
}

/// A share in the ownership of a heap.
pub(crate) type HeapRef = std::sync::Arc<MHeap>;

/// The description of a block. Does not change while its slab exists, and so not while
/// the block is out, except that pieces of it may be deferred.
#[derive(Debug)]
pub(crate) struct BlockDesc {
    pub(crate) base: NonNull<u8>,
    pub(crate) bytes: usize,
    pub(crate) heap: NonNull<MHeap>,
    /// Index of its slab.
    slab: u32,
    /// Its bit in `free` of the slab.
    bit: u32,
    /// Whether pieces of a large block were deferred, in this mark phase or in one before (SK7).
    has_pieces: AtomicBool,
}

impl BlockDesc {
    /// Notes that pieces of the block are deferred (SK7).
    pub(crate) fn note_pieces(&self) {
        // ORDERING: Relaxed, as where it is read: it is set while the world is stopped, and whoever
        // returns the block comes after that stop.
        self.has_pieces.store(true, Ordering::Relaxed);
    }
}

// SAFETY: plain data; the heap may be named from any thread.
unsafe impl Send for BlockDesc {}

/// A block that is out (SK2), to be returned once. One word, so that it is cheap to
/// pass on.
pub(crate) type RawBlock = NonNull<BlockDesc>;

/// The parts of a slab in use.
struct SlabParts {
    span: ManualSpan,
    /// SK5.
    owner: HeapRef,
    /// In place: blocks that are out are pointers to these.
    blocks: Vec<BlockDesc>,
}

impl core::fmt::Debug for SlabParts {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // The owner would print the pool again.
        self.span.fmt(f)
    }
}

/// A manual span, cut into blocks.
#[derive(Debug)]
struct Slab {
    /// `None` if the place in the table is vacant.
    parts: Option<SlabParts>,
    /// `None` for a large block.
    order: Option<Order>,
    /// A bit for each block that is free.
    free: u32,
    /// Its position in `partial`, if it is listed there; the next one, if it is held.
    place: u32,
    /// Whether its block, a large one, has come back and is held (SK7).
    is_held: bool,
}

impl Slab {
    /// The value of `free` when nothing is out.
    fn all(&self) -> u32 {
        self.order.map_or(1, |order| u32::MAX >> (32 - order.blocks()))
    }
}

/// All manual spans of a heap.
#[derive(Debug, Default)]
pub(crate) struct StackPool {
    slabs: Vec<Slab>,
    /// Vacant places. There is room for all.
    vacant: Vec<u32>,
    /// Slabs with free blocks, by order. There is room for all slabs.
    partial: [Vec<u32>; ORDERS],
    /// Slabs, by order.
    count: [usize; ORDERS],
    /// Bytes of blocks taken since the last collection and not yet returned by their owners.
    lent: usize,
    /// Bytes of such blocks that were returned; see [`MHeap::take_returned_stacks`].
    returned: usize,
    /// Whether blocks with pieces are held, and the first of them, or `NO_SLAB` (SK7).
    holds: Option<u32>,
}

/// No slab has this index.
const NO_SLAB: u32 = u32::MAX;

impl StackPool {
    /// Enters a span. With an order, all its blocks are free; without, it has one block,
    /// which is out. Returns the first block, or gives the span back if there is no memory
    /// for the tables.
    fn add(
        &mut self,
        order: Option<Order>,
        span: ManualSpan,
        owner: &HeapRef,
    ) -> Result<RawBlock, ManualSpan> {
        let count = order.map_or(1, Order::blocks);
        let mut blocks = Vec::new();
        if blocks.try_reserve_exact(count as usize).is_err() || !self.make_room(order) {
            return Err(span);
        }
        let index = self.vacant.pop().unwrap_or(self.slabs.len() as u32);
        let bytes = order.map_or(span.bytes(), Order::block_bytes);
        blocks.extend((0..count).map(|block| BlockDesc {
            // SAFETY: the block lies within the span.
            base: unsafe { span.base().add(block as usize * bytes) },
            bytes,
            heap: NonNull::from(&**owner),
            slab: index,
            bit: 1 << block,
            has_pieces: AtomicBool::new(false),
        }));
        let first = NonNull::from(&blocks[0]);
        let parts = SlabParts { span, owner: HeapRef::clone(owner), blocks };
        let mut slab = Slab { parts: Some(parts), order, free: 0, place: 0, is_held: false };
        if let Some(order) = order {
            slab.free = slab.all();
            slab.place = self.partial[order.index()].len() as u32;
            self.partial[order.index()].push(index);
            self.count[order.index()] += 1;
        }
        match self.slabs.get_mut(index as usize) {
            Some(place) => *place = slab,
            None => self.slabs.push(slab),
        }
        Ok(first)
    }

    /// Makes room in all tables for one more slab, so that nothing can fail when a
    /// block is returned.
    fn make_room(&mut self, order: Option<Order>) -> bool {
        let listed = order.is_none_or(|order| {
            let list = &mut self.partial[order.index()];
            list.try_reserve(self.count[order.index()] + 1 - list.len()).is_ok()
        });
        listed
            && (!self.vacant.is_empty()
                || self.slabs.len() < u32::MAX as usize
                    && self.slabs.try_reserve(1).is_ok()
                    && self.vacant.try_reserve(self.slabs.len() + 1).is_ok())
    }

    /// Takes up to `most` free blocks; returns how many there were.
    fn take(&mut self, order: Order, most: usize, mut sink: impl FnMut(RawBlock)) -> usize {
        let mut taken = 0;
        while taken < most
            && let Some(&index) = self.partial[order.index()].last()
        {
            let slab = &mut self.slabs[index as usize];
            let Some(parts) = &slab.parts else {
                corrupt!("SK3: the listed slab {index} is vacant");
            };
            while taken < most && slab.free != 0 {
                let block = slab.free.trailing_zeros() as usize;
                slab.free &= slab.free - 1;
                let block = &parts.blocks[block];
                asan::unpoison(block.base.as_ptr(), block.bytes);
                sink(NonNull::from(block));
                taken += 1;
            }
            if slab.free == 0 {
                self.partial[order.index()].pop();
            }
        }
        taken
    }

    /// The same for a mutator, which will pay sweep credit for them.
    fn lend(&mut self, order: Order, most: usize, sink: impl FnMut(RawBlock)) -> usize {
        let taken = self.take(order, most, sink);
        self.lent += taken * order.block_bytes();
        taken
    }

    /// Counts bytes that come back.
    fn count_return(&mut self, bytes: usize) {
        let known = bytes.min(self.lent);
        self.lent -= known;
        self.returned += known;
    }

    /// Takes a block back. Returns the slab's parts if no other block of it is out.
    fn put(&mut self, index: u32, bit: u32) -> Option<SlabParts> {
        let slab = &mut self.slabs[index as usize];
        if slab.parts.is_none() || slab.free & bit != 0 || slab.is_held {
            corrupt!("SK2: a stack block is returned twice: {bit:#x} of {slab:?}");
        }
        let was_listed = slab.free != 0;
        slab.free |= bit;
        let unused = slab.free == slab.all();
        let place = slab.place as usize;
        let Some(order) = slab.order else {
            self.vacant.push(index);
            return slab.parts.take();
        };
        let list = &mut self.partial[order.index()];
        if !unused {
            if !was_listed {
                slab.place = list.len() as u32;
                list.push(index);
            }
            return None;
        }
        let parts = slab.parts.take();
        if was_listed {
            list.swap_remove(place);
            if let Some(&moved) = list.get(place) {
                self.slabs[moved as usize].place = place as u32;
            }
        }
        self.count[order.index()] -= 1;
        self.vacant.push(index);
        parts
    }

    /// Holds a block with pieces that comes back, if it is large and blocks are held. Says whether it is.
    fn hold(&mut self, index: u32) -> bool {
        let slab = &mut self.slabs[index as usize];
        let Some(first) = &mut self.holds else { return false };
        if slab.order.is_some() {
            return false;
        }
        if slab.parts.is_none() || slab.is_held {
            corrupt!("SK2: a stack block is returned twice: {slab:?}");
        }
        slab.is_held = true;
        slab.place = core::mem::replace(first, index);
        true
    }

    /// Takes a slab out of the chain that [`MHeap::end_hold`] has taken: its parts and the next one.
    fn unhold(&mut self, index: u32) -> (Option<SlabParts>, u32) {
        let slab = &mut self.slabs[index as usize];
        let next = slab.place;
        slab.is_held = false;
        (self.put(index, 1), next)
    }

    /// All manual spans.
    pub(crate) fn spans(&self) -> impl Iterator<Item = &ManualSpan> {
        self.slabs.iter().filter_map(|slab| Some(&slab.parts.as_ref()?.span))
    }

    /// Recounts. Returns the first broken invariant.
    pub(crate) fn check(&self) -> Result<(), VerifyError> {
        let in_order = |holds, id, index: usize| {
            ensure(holds, id, || format!("slab {index}: {:?}", self.slabs[index]))
        };
        let mut listed = vec![0; self.slabs.len()];
        for (order, list) in self.partial.iter().enumerate() {
            for (place, &index) in list.iter().enumerate() {
                let slab = &self.slabs[index as usize];
                listed[index as usize] += 1;
                let here = slab.order.is_some_and(|own| own.index() == order);
                in_order(here && slab.place as usize == place, "SK3", index as usize)?;
            }
        }
        for (index, slab) in self.slabs.iter().enumerate() {
            let Some(SlabParts { span, blocks, .. }) = &slab.parts else { continue };
            let pages = slab.order.map_or(span.npages(), |_| SLAB_PAGES);
            let bytes: usize = blocks.iter().map(|block| block.bytes).sum();
            let apart = blocks.iter().enumerate().all(|(i, block)| {
                let offset = block.base.addr().get() - span.base().addr().get();
                block.slab as usize == index && block.bit == 1 << i && offset == i * block.bytes
            });
            let cut = apart && bytes == span.bytes() && span.npages() == pages;
            in_order(cut && slab.free & !slab.all() == 0, "SK2", index)?;
            let partial = slab.free != 0;
            let listed_so = usize::from(partial) == listed[index] && slab.free != slab.all();
            in_order(listed_so, "SK3", index)?;
            listed[index] = 0;
        }
        let vacant = listed.iter().position(|count| *count > 0);
        in_order(vacant.is_none(), "SK3", vacant.unwrap_or(0))?;
        let in_use = self.spans().count();
        ensure(in_use + self.vacant.len() == self.slabs.len(), "SK2", || {
            format!("{in_use} slabs of {} are in use", self.slabs.len())
        })
    }
}

impl MHeap {
    /// The pool, locked and so at rest.
    pub(crate) fn stack_pool(&self) -> MutexGuard<'_, StackPool> {
        self.stacks.lock()
    }

    /// Takes blocks of `order`, at most `most` and at least one.
    pub(crate) fn take_blocks(
        self: &HeapRef,
        order: Order,
        most: usize,
        mut sink: impl FnMut(RawBlock),
    ) -> Result<(), OutOfMemory> {
        if self.stacks.lock().lend(order, most, &mut sink) > 0 {
            return Ok(());
        }
        // Not under the lock: other threads sweep, and run destructors, which may return
        // blocks.
        let span = self.manual_span(SLAB_PAGES)?;
        let mut pool = self.stacks.lock();
        match pool.add(Some(order), span, self) {
            Ok(_) => {
                pool.lend(order, most, sink);
                Ok(())
            }
            Err(span) => {
                drop(pool);
                drop(self.free_manual_span(span));
                Err(OutOfMemory::System)
            }
        }
    }

    /// A block with a span of its own.
    pub(crate) fn take_large_block(self: &HeapRef, bytes: usize) -> Result<RawBlock, OutOfMemory> {
        if bytes > isize::MAX as usize - ARENA_SIZE {
            return Err(OutOfMemory::TooLarge);
        }
        let span = self.manual_span(pages_for(bytes))?;
        asan::unpoison(span.base().as_ptr(), span.bytes());
        let bytes = span.bytes();
        let mut pool = self.stacks.lock();
        match pool.add(None, span, self) {
            Ok(block) => {
                pool.lent += bytes;
                Ok(block)
            }
            Err(span) => {
                drop(pool);
                drop(self.free_manual_span(span));
                Err(OutOfMemory::System)
            }
        }
    }

    /// Bytes of blocks that were taken since the last collection and that their owners
    /// have returned since the last call, which a pacer need not count. Blocks that are
    /// dropped with a swept object are not among them: the collection that found it dead has
    /// counted anew.
    #[must_use]
    pub fn take_returned_stacks(&self) -> usize {
        core::mem::take(&mut self.stacks.lock().returned)
    }

    /// Called by a collection that will let mutators run before marking is over, with the world
    /// stopped: holds blocks with pieces from now on (SK7).
    pub fn begin_hold(&self) {
        self.stacks.lock().holds.get_or_insert(NO_SLAB);
    }

    /// Called when marking is over: blocks are held no more, and those that were go back to the pages.
    ///
    /// # Safety
    ///
    /// The heap has its owner, and no piece of a block is left to be traced
    /// ([`Tracer::defer`](crate::tracer::Tracer::defer)).
    pub unsafe fn end_hold(&self) {
        let mut next = self.stacks.lock().holds.take().unwrap_or(NO_SLAB);
        while next != NO_SLAB {
            let mut pool = self.stacks.lock();
            let (parts, following) = pool.unhold(next);
            drop(pool);
            next = following;
            if let Some(SlabParts { span, owner, .. }) = parts {
                asan::poison(span.base().as_ptr(), span.bytes());
                drop(self.free_manual_span(span));
                // Not the last share: the caller has the heap's owner.
                drop(owner);
            }
        }
    }

    /// Called by a collection: blocks that are out now are not counted when they are
    /// returned.
    pub fn settle_stacks(&self) {
        let mut pool = self.stacks.lock();
        (pool.lent, pool.returned) = (0, 0);
    }

    /// Takes blocks back, with one lock for all of them. The caller drops the share that is
    /// returned, which may be the heap's last, when it has no more use for `self`.
    ///
    /// # Safety
    ///
    /// The blocks are of this heap, and out; they are not used any more.
    #[must_use]
    pub(crate) unsafe fn put_blocks(
        &self,
        blocks: impl IntoIterator<Item = RawBlock>,
    ) -> Option<HeapRef> {
        let mut share = None;
        let by_owner = !is_in_destructor();
        let mut pool = self.stacks.lock();
        for block in blocks {
            // SAFETY: the block is out, so its slab exists.
            let &BlockDesc { base, bytes, slab, bit, ref has_pieces, .. } =
                unsafe { block.as_ref() };
            // Aborts unless the block is out. It is not taken while the pool is locked.
            // ORDERING: Relaxed: see `note_pieces`.
            if has_pieces.load(Ordering::Relaxed) && pool.hold(slab) {
                // Its memory is not regained yet, and a pacer has to count it.
                continue;
            }
            let unused = pool.put(slab, bit);
            if self.config.poison {
                // SAFETY: the caller had the block, and it has no new owner yet.
                unsafe { base.write_bytes(POISON, bytes) };
            }
            asan::poison(base.as_ptr(), bytes);
            if by_owner {
                pool.count_return(bytes);
            }
            let Some(SlabParts { span, owner, .. }) = unused else { continue };
            // An earlier share was not the last one, because this one exists.
            share = Some(owner);
            if let Some(unmapped) = self.free_manual_span(span) {
                // Unmapping is slow, so it happens after unlocking.
                drop(pool);
                drop(unmapped);
                pool = self.stacks.lock();
            }
        }
        share
    }

    /// Fresh pages, charged against the limit (Y2).
    fn manual_span(&self, npages: usize) -> Result<ManualSpan, OutOfMemory> {
        let (record, run) = self.take_run(npages, Fill::Whole, Partition::default(), || {
            // ORDERING: Relaxed: a count, changed under the page lock only.
            self.stats.stack_bytes.fetch_add(npages * PAGE_SIZE, Ordering::Relaxed);
        })?;
        // SAFETY: a record fresh from the allocator, and pages that are in no other span.
        let span = unsafe { ManualSpan::set_up(record, run.base, npages) };
        // SAFETY: the run is inside a region that this heap has mapped.
        let location = unsafe { Location::of(run.base) };
        location.arena().publish_manual(location.page_index(), npages, record);
        // Until its blocks are taken.
        asan::poison(run.base.as_ptr(), npages * PAGE_SIZE);
        Ok(span)
    }

    /// Frees the pages of a span. Returns what must be unmapped after unlocking.
    fn free_manual_span(&self, span: ManualSpan) -> Option<Arc<Reservation>> {
        let (base, npages, bytes) = (span.base(), span.npages(), span.bytes());
        let count = || {
            // ORDERING: Relaxed: a count, changed under the page lock only.
            self.stats.stack_bytes.fetch_sub(bytes, Ordering::Relaxed);
        };
        // SAFETY: the token was the right to the record and its pages (S3).
        unsafe { self.return_pages(span.kill(), base, npages, count) }
    }
}
