//! [`Location`]: the place of an object in its heap, from which all facts about the object follow.
//!
//! One word, the address itself: the arena is the address without its low bits, the page and the
//! granule are among those. What must hold for the tables to be looked at is said once, where a
//! `Location` is made; a value is the proof, and its methods are safe.

use core::ptr::NonNull;

use crate::arena::Arena;
use crate::geometry::{ARENA_MASK, GRANULE_SHIFT, PAGE_GRANULES, PAGE_SHIFT, PAGE_SIZE};
use crate::kind::ObjectKind;
use crate::mark_byte::{MarkByte, PageMarks};
use crate::mspan::{Body, Span};
use crate::page_flag::PageFlag;

/// The address of an object, or of the first byte of a page of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location(NonNull<u8>);

// SAFETY: an address, and the right to look at tables whose entries are atomics (contract of `of`).
unsafe impl Send for Location {}
// SAFETY: as above.
unsafe impl Sync for Location {}

impl Location {
    /// The place of an object: the right to its mark byte, and to the flag of its page.
    ///
    /// # Safety
    ///
    /// `object` was handed out by a heap, or is the start of one of its pages, with provenance
    /// over its arena, which stays mapped as long as the location is used. What is written to
    /// marks and flags keeps M1 and M3, and what is marked is traced before the mark phase
    /// ends.
    #[inline(always)]
    #[must_use]
    pub unsafe fn of(object: NonNull<u8>) -> Location {
        Location(object)
    }

    /// The place of a span: of its first slot.
    pub(crate) fn of_span(body: &Body) -> Location {
        Location(body.base)
    }

    /// The arena.
    #[inline(always)]
    pub(crate) fn arena(&self) -> Arena<'_> {
        // SAFETY: mapped: by the contract of `of`; and the contents of a span are used only as long
        // as the span has its pages.
        unsafe { Arena::of(self.0) }
    }

    /// The number of the page in its arena.
    #[inline(always)]
    pub(crate) fn page_index(&self) -> usize {
        (self.0.addr().get() & ARENA_MASK) >> PAGE_SHIFT
    }

    /// The address.
    #[inline(always)]
    #[must_use]
    pub fn pointer(&self) -> NonNull<u8> {
        self.0
    }

    /// The first byte of the page.
    #[inline(always)]
    #[must_use]
    pub fn page(&self) -> Location {
        let page = self.0.as_ptr().map_addr(|address| address & !(PAGE_SIZE - 1));
        // SAFETY: no page is at address zero.
        Location(unsafe { NonNull::new_unchecked(page) })
    }

    /// The number of the granule in its page.
    #[inline(always)]
    #[must_use]
    pub fn granule(&self) -> usize {
        self.0.addr().get() >> GRANULE_SHIFT & (PAGE_GRANULES - 1)
    }

    /// The mark byte of the object; objects that share a slot share it.
    #[inline(always)]
    #[must_use]
    pub fn mark(&self) -> &MarkByte {
        self.arena().mark_byte(self.0.addr().get())
    }

    /// The mark bytes of the page.
    #[inline(always)]
    #[must_use]
    pub fn page_marks(&self) -> &PageMarks {
        self.arena().page_marks(self.page_index())
    }

    /// The queue flag of the page.
    #[inline(always)]
    #[must_use]
    pub fn page_flag(&self) -> &PageFlag {
        self.arena().page_flag(self.page_index())
    }

    /// Bytes of a slot on the page.
    #[inline(always)]
    #[must_use]
    pub fn slot_bytes(&self) -> usize {
        self.arena().slot_bytes(self.page_index())
    }

    /// The kind of the page's objects. `None` if no span covers the page.
    #[inline(always)]
    #[must_use]
    pub fn kind(&self) -> Option<&'static ObjectKind> {
        self.arena().kind(self.page_index())
    }

    /// The span that covers the page, dead or alive.
    #[inline(always)]
    pub(crate) fn span(&self) -> Option<NonNull<Span>> {
        self.arena().span(self.page_index())
    }
}
