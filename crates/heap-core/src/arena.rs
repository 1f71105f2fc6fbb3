//! [`Arena`]: the head of a 64 MiB arena, with the dense side tables in which the
//! collector looks up all facts about an object by its address.
//!
//! An arena is aligned to its size, so `address & !(64 MiB - 1)` is its head:
//! no global look-up, any number of heaps. The tables are indexed by page or
//! granule. They are dense on purpose: headers at 8 KiB strides would collide
//! in a few cache sets, while the tables of a 200 MiB heap stay in the L2.
//!
//! Users have an address and ask a [`Location`](crate::location::Location); the arena itself is for
//! what goes over many pages.
//!
//! * M2: the facts about a page are written while its span is not yet
//!   reachable (before its first object is handed out) and read afterwards.
//!
//! Freshly mapped memory is zero, which is a valid empty table.

use core::marker::PhantomData;
use core::ptr::NonNull;

use heap_sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use crate::geometry::{ARENA_MASK, ARENA_PAGES, GRANULE_SHIFT, PAGE_GRANULES, PAGE_SIZE};
use crate::kind::ObjectKind;
use crate::mark_byte::{MARKS_OFFSET, MarkByte, PageMarks};
use crate::mspan::Span;
use crate::page_flag::PageFlag;

/// The side tables at the start of an arena.
#[repr(C)]
struct Head {
    /// One byte per page: the whole table of a heap of some hundred
    /// megabytes stays in the L1 cache while marking.
    page_flags: [PageFlag; ARENA_PAGES],
    /// Sizes of the slots, in units of eight bytes.
    slot_words: [AtomicU32; ARENA_PAGES],
    kinds: [AtomicPtr<ObjectKind>; ARENA_PAGES],
    spans: [AtomicPtr<Span>; ARENA_PAGES],
    marks: [PageMarks; ARENA_PAGES],
}

/// Pages at the start of an arena that its head occupies.
pub(crate) const HEADER_PAGES: usize = size_of::<Head>().div_ceil(PAGE_SIZE);

// The price of dense tables: less than seven percent of the address space. (The
// model checker's atomics are larger; it never lays out an arena.)
const _: () = assert!(cfg!(heap_loom) || HEADER_PAGES * 100 < ARENA_PAGES * 7);
const _: () = assert!(cfg!(heap_loom) || core::mem::offset_of!(Head, marks) == MARKS_OFFSET);

/// An arena, by the address of its head.
///
/// A pointer, not a reference: it is made anew for each object that is looked at, and a reference
/// would claim the tables' four megabytes each time (which nothing needs, and a checker of aliasing
/// such as Miri has to keep account of). So tables are indexed as places, and only an entry is
/// borrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arena<'a> {
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
    /// The arena that an address lies in.
    ///
    /// # Safety
    ///
    /// The address is in the first 64 MiB of a region of a heap, with provenance over them, and
    /// they stay mapped for `'a`.
    #[inline(always)]
    pub(crate) unsafe fn of(address: NonNull<u8>) -> Arena<'a> {
        let head = address.as_ptr().map_addr(|address| address & !ARENA_MASK).cast::<Head>();
        // SAFETY: the head of an arena that is mapped is not at address 0.
        Arena { head: unsafe { NonNull::new_unchecked(head) }, mapped: PhantomData }
    }

    /// The queue flag of a page.
    #[inline(always)]
    pub(crate) fn page_flag(self, page: usize) -> &'a PageFlag {
        entry!(self, page_flags[page & (ARENA_PAGES - 1)])
    }

    /// Bytes of a slot on a page.
    #[inline(always)]
    pub(crate) fn slot_bytes(self, page: usize) -> usize {
        // ORDERING: Relaxed; M2: published with the first object of the span.
        entry!(self, slot_words[page & (ARENA_PAGES - 1)]).load(Ordering::Relaxed) as usize * 8
    }

    /// The mark byte of the object that starts at `address`; objects that share a
    /// slot share it.
    #[inline(always)]
    pub(crate) fn mark_byte(self, address: usize) -> &'a MarkByte {
        let granule = (address & ARENA_MASK) >> GRANULE_SHIFT;
        entry!(self, marks[granule / PAGE_GRANULES][granule % PAGE_GRANULES])
    }

    /// The mark bytes of a page.
    #[inline(always)]
    pub(crate) fn page_marks(self, page: usize) -> &'a PageMarks {
        entry!(self, marks[page & (ARENA_PAGES - 1)])
    }

    /// The kind of a page's objects. `None` if no span covers the page.
    #[inline(always)]
    pub(crate) fn kind(self, page: usize) -> Option<&'static ObjectKind> {
        // ORDERING: Acquire pairs with the Release in `publish`, for readers
        // that did not get here through an object (M2).
        let kind = entry!(self, kinds[page & (ARENA_PAGES - 1)]).load(Ordering::Acquire);
        // SAFETY: K3: kinds are `'static`; only `publish` and `retract` write.
        unsafe { kind.as_ref() }
    }

    /// The span that covers a page, dead or alive.
    #[inline(always)]
    pub(crate) fn span(self, page: usize) -> Option<NonNull<Span>> {
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
        // A huge object runs on into arenas that have no head: only the pages
        // of its first arena are entered.
        for page in first_page..(first_page + npages).min(ARENA_PAGES) {
            // ORDERING: Relaxed, then Release on the pointers: a reader that
            // sees the span sees its facts.
            entry!(self, slot_words[page]).store(slot_words, Ordering::Relaxed);
            self.page_flag(page).reset(kind.is_noscan());
            entry!(self, kinds[page])
                .store(core::ptr::from_ref(kind).cast_mut(), Ordering::Release);
            entry!(self, spans[page]).store(span.as_ptr(), Ordering::Release);
        }
    }

    /// Enters a manual span in the tables. No object is ever found there (SK1).
    pub(crate) fn publish_manual(self, first_page: usize, npages: usize, span: NonNull<Span>) {
        for page in first_page..(first_page + npages).min(ARENA_PAGES) {
            // ORDERING: as in `publish`.
            self.page_flag(page).reset(true);
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
