//! [`StackBlock`]: raw memory from the heap's pages for the stacks of a virtual
//! machine, and [`StackCache`], one mutator's supply of it. (Go: `stackcache`.)
//!
//! A block has one owner and may be dropped anywhere, also by a destructor of a heap
//! object, and after the heap. "After the heap" means after its [`HeapOwner`]: when that is
//! dropped, the heap's objects are destroyed, but blocks keep the memory mapped, and the
//! last of them unmaps it. So an object may own a block of its own heap without keeping the
//! heap alive.
//!
//! * SK6: a cache holds [`CACHE_BYTES`] of an order at most, in blocks of exactly its
//!   size. Only its mutator accesses it while inside, or a collector while the
//!   world is stopped.

use core::mem::{ManuallyDrop, MaybeUninit};
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use std::sync::Arc;

use crate::error::OutOfMemory;
use crate::mheap::{BlockDesc, CoreConfig, MHeap, ORDERS, Order, RawBlock};
use crate::os::Os;

/// The most bytes of one order that a mutator keeps. Half of it is taken or returned at a
/// time, so that a mutator that takes and returns a block in turn finds one in its cache.
pub const CACHE_BYTES: usize = 64 << 10;

/// A heap's memory with the objects in it. Dropping it destroys the objects; the
/// memory is unmapped with it or, if blocks are left, with the last block.
#[derive(Debug)]
pub struct HeapOwner(Arc<MHeap>);

impl HeapOwner {
    /// An empty heap, as [`MHeap::new`].
    #[must_use]
    pub fn new(config: CoreConfig, os: Box<dyn Os>) -> HeapOwner {
        HeapOwner(Arc::new(MHeap::new(config, os)))
    }

    /// Appends blocks of `order` to `blocks`: at least one, at most half a cache.
    /// May sweep.
    ///
    /// # Errors
    ///
    /// When the limit or the system refuses the memory.
    pub fn stack_blocks(
        &self,
        order: Order,
        blocks: &mut Vec<StackBlock>,
    ) -> Result<(), OutOfMemory> {
        let most = half(order);
        blocks.try_reserve(2 * most).map_err(|_| OutOfMemory::System)?;
        self.0.take_blocks(order, most, |raw| blocks.push(StackBlock(raw)))
    }

    /// A block of whole pages. May sweep.
    ///
    /// # Errors
    ///
    /// When the limit or the system refuses the memory.
    pub fn large_stack_block(&self, bytes: usize) -> Result<StackBlock, OutOfMemory> {
        self.0.take_large_block(bytes).map(StackBlock)
    }
}

impl Deref for HeapOwner {
    type Target = MHeap;
    #[inline(always)]
    fn deref(&self) -> &MHeap {
        &self.0
    }
}

impl Drop for HeapOwner {
    fn drop(&mut self) {
        // Each has a share.
        // SAFETY: this is the owner; a collection that was under way is not gone on with.
        unsafe { self.0.end_hold() };
        if Arc::get_mut(&mut self.0).is_none() {
            // SAFETY: only blocks still refer to the heap, and these only return themselves
            // to it.
            unsafe { self.0.destroy() };
        }
    }
}

/// Half a cache, in blocks.
fn half(order: Order) -> usize {
    CACHE_BYTES / 2 / order.block_bytes()
}

/// A block of raw memory; see the module documentation. Aligned to its size, up to
/// a page. The contents are uninitialised at first.
pub struct StackBlock(RawBlock);

// SAFETY: the block owns its memory, as a boxed slice does; the heap may be named
// from any thread.
unsafe impl Send for StackBlock {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for StackBlock {}

impl StackBlock {
    #[inline]
    fn desc(&self) -> &BlockDesc {
        // SAFETY: SK2: the block is out as long as `self` exists.
        unsafe { self.0.as_ref() }
    }

    /// The first byte, with provenance over the block.
    #[inline]
    #[must_use]
    pub fn base(&self) -> NonNull<u8> {
        self.desc().base
    }

    /// Bytes.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.desc().bytes
    }

    /// Notes that pieces of the block are deferred
    /// ([`Tracer::defer`](crate::tracer::Tracer::defer)): from now on, when it comes back in a mark
    /// phase, it is not used again before that is over.
    pub fn note_pieces(&self) {
        self.desc().note_pieces();
    }

    /// Whether the block is of this heap.
    #[inline]
    #[must_use]
    pub fn is_of(&self, heap: &HeapOwner) -> bool {
        core::ptr::eq(self.desc().heap.as_ptr(), Arc::as_ptr(&heap.0))
    }

    fn into_raw(self) -> RawBlock {
        ManuallyDrop::new(self).0
    }
}

impl Deref for StackBlock {
    type Target = [MaybeUninit<u8>];
    #[inline]
    fn deref(&self) -> &[MaybeUninit<u8>] {
        // SAFETY: the block's own mapped memory (SK2, SK5).
        unsafe { core::slice::from_raw_parts(self.base().as_ptr().cast(), self.bytes()) }
    }
}

impl DerefMut for StackBlock {
    #[inline]
    fn deref_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: as above, and `&mut self`.
        unsafe { core::slice::from_raw_parts_mut(self.base().as_ptr().cast(), self.bytes()) }
    }
}

impl Drop for StackBlock {
    fn drop(&mut self) {
        // SAFETY: SK5.
        let heap = unsafe { self.desc().heap.as_ref() };
        // SAFETY: the block came from this heap, and goes now.
        let share = unsafe { heap.put_blocks([self.0]) };
        // `heap` may be dangling after this.
        drop(share);
    }
}

impl core::fmt::Debug for StackBlock {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StackBlock")
            .field("base", &self.base())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

/// One mutator's free blocks (SK6).
///
/// Taking blocks from the heap may run code of the program's (the system that it gave the heap),
/// which may come back to this cache. Hence there is no function that does both: the caller takes a list
/// with [`StackCache::take_all`], fills it with [`HeapOwner::stack_blocks`], and returns
/// it with [`StackCache::put_all`].
#[derive(Debug, Default)]
pub struct StackCache {
    free: [Vec<StackBlock>; ORDERS],
}

impl StackCache {
    /// A block, if there is one.
    #[inline]
    pub fn take(&mut self, order: Order) -> Option<StackBlock> {
        self.free[order.index()].pop()
    }

    /// The list of an order, to be filled.
    pub fn take_all(&mut self, order: Order) -> Vec<StackBlock> {
        core::mem::take(&mut self.free[order.index()])
    }

    /// Takes a list back. Blocks may have come back to the cache since the list was taken out;
    /// blocks for which there is no room now go back to the heap.
    pub fn put_all(&mut self, order: Order, mut blocks: Vec<StackBlock>) {
        blocks.retain(|block| block.bytes() == order.block_bytes());
        blocks.truncate(2 * half(order));
        let list = &mut self.free[order.index()];
        list.drain(..).for_each(|block| push_to(&mut blocks, order, block));
        *list = blocks;
    }

    /// Takes a block of `heap`; if there are too many of its order, half of them go
    /// back to the heap. A block of no order, or of another heap, goes back to its heap.
    #[inline]
    pub fn put(&mut self, heap: &HeapOwner, block: StackBlock) {
        let Some(order) = Order::of(block.bytes()).filter(|_| block.is_of(heap)) else { return };
        let list = &mut self.free[order.index()];
        if list.len() >= 2 * half(order) {
            give_back(heap, list, half(order));
        }
        push_to(list, order, block);
    }

    /// Gives all blocks back, those of `heap` in one batch per order.
    pub fn flush(&mut self, heap: &HeapOwner) {
        for list in &mut self.free {
            give_back(heap, list, list.len());
        }
    }
}

/// Adds a block of this very order to its list (SK6). Any other goes back to its heap,
/// and so does one for which there is no room or no memory.
#[inline]
fn push_to(list: &mut Vec<StackBlock>, order: Order, block: StackBlock) {
    let fits = block.bytes() == order.block_bytes() && list.len() < 2 * half(order);
    if fits && list.try_reserve(1).is_ok() {
        list.push(block);
    }
}

/// Gives the first `count` blocks back: the last ones are more likely in the cache.
#[cold]
fn give_back(heap: &HeapOwner, list: &mut Vec<StackBlock>, count: usize) {
    // A block of another heap is dropped here and returns to that heap: below, a lock is held.
    list.retain(|block| block.is_of(heap));
    let count = count.min(list.len());
    if count > 0 {
        let blocks = list.drain(..count).map(StackBlock::into_raw);
        // SAFETY: blocks that were out, in this list, and of this heap: the others
        // have just been dropped.
        drop(unsafe { heap.put_blocks(blocks) });
    }
}
