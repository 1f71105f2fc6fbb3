//! [`Arena`]: the head of a 64 MiB arena, with the dense side tables in which the
//! collector looks up all facts about an object by its address.
//!
//! An arena is aligned to its size, so `address & !(64 MiB - 1)` is its head:
//! no global look-up, any number of heaps. The tables are indexed by page or
//! granule. They are dense on purpose: headers at 8 KiB strides would collide
//! in a few cache sets, while the tables of a 200 MiB heap stay in the L2.
//!
//! * M1: a mark byte is `WHITE`, `GREY` (marked, not yet traced) or `BLACK`
//!   (marked and traced, or nothing to trace); it is only non-white between the
//!   start of marking and the sweep of its span.
//! * M2: the facts about a page are written while its span is not yet
//!   reachable (before its first object is handed out) and read afterwards.
//! * M3: a page is in at most one work queue: its queue flag says so.
//!
//! Freshly mapped memory is zero, which is a valid empty table.

use core::marker::PhantomData;
use core::ptr::NonNull;

use heap_sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering};

use crate::geometry::{
    ARENA_MASK, ARENA_PAGES, GRANULE, GRANULE_SHIFT, PAGE_GRANULES, PAGE_SHIFT, PAGE_SIZE,
};
use crate::kind::ObjectKind;
use crate::mspan::Span;

/// Mark byte of an object that has not been reached.
pub const WHITE: u8 = 0;
/// Mark byte of an object that was reached and must still be traced.
pub const GREY: u8 = 1;
/// Mark byte of an object that was reached and needs no (more) tracing.
pub const BLACK: u8 = 3;

/// Queue flag of a page (M3): it is in no work queue.
pub const UNQUEUED: u8 = 0;
/// Queue flag of a page: it is in a work queue.
pub const QUEUED: u8 = 1;
/// Queue flag of a page whose objects hold no handles: it is never queued.
pub const NOSCAN_PAGE: u8 = 2;

/// The mark bytes of one page.
pub type PageMarks = [AtomicU8; PAGE_GRANULES];

/// The side tables at the start of an arena.
#[repr(C)]
struct Head {
    /// Queue flags, one byte per page: the whole table of a heap of some hundred
    /// megabytes stays in the L1 cache while marking.
    queue_flags: [AtomicU8; ARENA_PAGES],
    /// Sizes of the slots, in units of eight bytes.
    slot_words: [AtomicU32; ARENA_PAGES],
    kinds: [AtomicPtr<ObjectKind>; ARENA_PAGES],
    spans: [AtomicPtr<Span>; ARENA_PAGES],
    marks: [PageMarks; ARENA_PAGES],
}

/// Pages at the start of an arena that its head occupies.
pub const HEADER_PAGES: usize = size_of::<Head>().div_ceil(PAGE_SIZE);

// The price of dense tables: less than seven percent of the address space. (The
// model checker's atomics are larger; it never lays out an arena.)
const _: () = assert!(cfg!(heap_loom) || HEADER_PAGES * 100 < ARENA_PAGES * 7);

/// An arena, by the address of its head.
///
/// A pointer, not a reference: it is made anew for each object that is looked at, and a reference
/// would claim the tables' four megabytes each time (which nothing needs, and a checker of aliasing
/// such as Miri has to keep account of). So tables are indexed as places, and only an entry is
/// borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Arena<'a> {
    head: NonNull<Head>,
    mapped: PhantomData<&'a Head>,
}

/// An entry of a table of the head.
macro_rules! entry {
    ($arena:expr, $table:ident $([$index:expr])+) => {{
        let head = $arena.head.as_ptr();
        // SAFETY: the head is mapped for 'a, aligned, and all its entries are atomics for which
        // every bit pattern is valid (contract of `Arena::of`). The index is checked.
        unsafe { &*(&raw const (*head).$table $([$index])+) }
    }};
}

impl<'a> Arena<'a> {
    /// The arena that an object lies in: the right to its mark bytes and queue flags.
    ///
    /// # Safety
    ///
    /// `object` was handed out by a heap, with provenance over its arena, and the arena
    /// stays mapped for `'a`. What is written to marks and flags keeps M1 and M3, and what
    /// is marked is traced before the mark phase ends.
    #[inline(always)]
    pub unsafe fn of(object: NonNull<u8>) -> Arena<'a> {
        let head = object.as_ptr().map_addr(|address| address & !ARENA_MASK).cast::<Head>();
        // SAFETY: the head of an arena that is mapped is not at address 0.
        Arena { head: unsafe { NonNull::new_unchecked(head) }, mapped: PhantomData }
    }

    /// Index of the page of an address within its arena.
    #[inline(always)]
    #[must_use]
    pub fn page_index(address: usize) -> usize {
        (address & ARENA_MASK) >> PAGE_SHIFT
    }

    /// The queue flag of a page.
    #[inline(always)]
    pub fn queue_flag(self, page: usize) -> &'a AtomicU8 {
        entry!(self, queue_flags[page & (ARENA_PAGES - 1)])
    }

    /// Bytes of a slot on a page.
    #[inline(always)]
    pub fn slot_bytes(self, page: usize) -> usize {
        // ORDERING: Relaxed; M2: published with the first object of the span.
        entry!(self, slot_words[page & (ARENA_PAGES - 1)]).load(Ordering::Relaxed) as usize * 8
    }

    /// The mark byte of the object that starts at `address`; objects that share a
    /// slot share it.
    #[inline(always)]
    pub fn mark_byte(self, address: usize) -> &'a AtomicU8 {
        let granule = (address & ARENA_MASK) >> GRANULE_SHIFT;
        entry!(self, marks[granule / PAGE_GRANULES][granule % PAGE_GRANULES])
    }

    /// The mark bytes of a page.
    #[inline(always)]
    pub fn page_marks(self, page: usize) -> &'a PageMarks {
        entry!(self, marks[page & (ARENA_PAGES - 1)])
    }

    /// Makes all mark bytes of a page white.
    ///
    /// # Safety
    ///
    /// No other thread accesses them: the caller has claimed the page's span, and no mark
    /// phase is under way (M1).
    pub(crate) unsafe fn clear_page_marks(self, page: usize) {
        let marks = core::ptr::from_ref(self.page_marks(page)).cast::<u8>().cast_mut();
        // SAFETY: 512 bytes inside `UnsafeCell`s (atomics), and by the contract
        // above there is no concurrent access that a plain write could race with.
        unsafe { marks.write_bytes(WHITE, PAGE_GRANULES) };
    }

    /// The kind of a page's objects. `None` if no span covers the page.
    #[inline(always)]
    pub fn kind(self, page: usize) -> Option<&'static ObjectKind> {
        // ORDERING: Acquire pairs with the Release in `publish`, for readers
        // that did not get here through an object (M2).
        let kind = entry!(self, kinds[page & (ARENA_PAGES - 1)]).load(Ordering::Acquire);
        // SAFETY: K3: kinds are `'static`; only `publish` and `retract` write.
        unsafe { kind.as_ref() }
    }

    /// The span that covers a page, dead or alive.
    #[inline(always)]
    pub fn span(self, page: usize) -> Option<NonNull<Span>> {
        // ORDERING: Acquire pairs with the Release in `publish`.
        NonNull::new(entry!(self, spans[page & (ARENA_PAGES - 1)]).load(Ordering::Acquire))
    }

    /// Enters a span in the tables. Called by the span's only owner, before any
    /// object of it is handed out (M2).
    pub(crate) fn publish(
        self,
        first_page: usize,
        npages: usize,
        slot_bytes: usize,
        kind: &'static ObjectKind,
        span: NonNull<Span>,
    ) {
        let slot_words = u32::try_from(slot_bytes / 8).unwrap_or(u32::MAX);
        let flag = if kind.is_noscan() { NOSCAN_PAGE } else { UNQUEUED };
        // A huge object runs on into arenas that have no head: only the pages
        // of its first arena are entered.
        for page in first_page..(first_page + npages).min(ARENA_PAGES) {
            // ORDERING: Relaxed, then Release on the pointers: a reader that
            // sees the span sees its facts.
            entry!(self, slot_words[page]).store(slot_words, Ordering::Relaxed);
            entry!(self, queue_flags[page]).store(flag, Ordering::Relaxed);
            entry!(self, kinds[page])
                .store(core::ptr::from_ref(kind).cast_mut(), Ordering::Release);
            entry!(self, spans[page]).store(span.as_ptr(), Ordering::Release);
        }
    }

    /// Enters a manual span in the tables. No object is ever found there (SK1).
    pub(crate) fn publish_manual(self, first_page: usize, npages: usize, span: NonNull<Span>) {
        for page in first_page..(first_page + npages).min(ARENA_PAGES) {
            // ORDERING: as in `publish`.
            entry!(self, queue_flags[page]).store(NOSCAN_PAGE, Ordering::Relaxed);
            entry!(self, spans[page]).store(span.as_ptr(), Ordering::Release);
        }
    }

    /// Takes a span out of the tables: its pages go back to the page allocator.
    pub(crate) fn retract(self, first_page: usize, npages: usize) {
        for page in first_page..(first_page + npages).min(ARENA_PAGES) {
            entry!(self, kinds[page]).store(core::ptr::null_mut(), Ordering::Release);
            entry!(self, spans[page]).store(core::ptr::null_mut(), Ordering::Release);
        }
    }
}

/// Byte offset, within its page, of the object that starts in `granule`, when
/// the page has slots of `slot` bytes.
///
/// Slots are multiples of a granule but for the 24-byte class, where two slots
/// share three granules.
#[inline(always)]
#[must_use]
pub const fn object_offset(granule: usize, slot: usize) -> usize {
    if slot == 24 { (granule * GRANULE).div_ceil(24) * 24 } else { granule * GRANULE }
}

/// Prefetches the mark byte of an object, as [`prefetch_later`]: many edges are found
/// before the first of them is examined, more than the first-level cache has lines to wait
/// for.
#[inline(always)]
pub fn prefetch_mark(object: NonNull<u8>) {
    let address = object.addr().get();
    let at = (address & !ARENA_MASK)
        + core::mem::offset_of!(Head, marks)
        + ((address & ARENA_MASK) >> GRANULE_SHIFT);
    prefetch_later(object.as_ptr().with_addr(at));
}

/// Brings the cache line at `address` into the first-level cache, for a use that
/// comes very soon. Any address is allowed.
#[inline(always)]
pub fn prefetch(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch never faults and has no effect on memory.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}

/// Brings the cache line at `address` into an outer cache, for a use that comes later.
/// Many such requests in a row do not stall the pipeline as those of [`prefetch`] do: the
/// first-level cache can wait for a limited number of lines at once.
#[inline(always)]
pub fn prefetch_later(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: as in `prefetch`.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T1 }>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_of_the_24_byte_class_follow_its_stride() {
        for slot in 0..PAGE_SIZE / 24 {
            let offset = slot * 24;
            assert_eq!(object_offset(offset / GRANULE, 24), offset);
        }
    }
}
