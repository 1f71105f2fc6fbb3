//! Weak handles of a heap's objects: see [`crate::weak_handles`].

use core::ptr::NonNull;

use super::MHeap;
use crate::geometry::GRANULE;
use crate::kind::WEAK_CELL;
use crate::location::Location;
use crate::mspan::Span;
use crate::shrink::shrink_to;
use crate::size_class::SizeClass;
use crate::weak_handles::{AddError, Verdict, WeakCell, WeakHandle, WeakHandles};

/// The spans whose objects have weak handles (WH2).
#[derive(Debug, Default)]
pub(super) struct WeakSpans {
    pub(super) spans: Vec<NonNull<Span>>,
    /// How many were not looked at, while handles are being cleared: the first ones.
    uncleared: usize,
}

// SAFETY: addresses of span records, which live as long as the heap.
unsafe impl Send for WeakSpans {}

/// What clearing has marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WeakCounts {
    /// Cells that live because their targets do.
    pub objects: usize,
    /// Bytes of their slots.
    pub bytes: usize,
}

impl MHeap {
    /// The class of weak cells.
    #[must_use]
    pub fn weak_cell_class() -> SizeClass {
        // A granule of its own, hence a mark byte (A2).
        SizeClass::for_size(size_of::<WeakCell>().max(GRANULE)).expect("a small size")
    }

    /// The span that an object is in.
    ///
    /// # Safety
    ///
    /// `object` is an object of this heap, and the caller holds it alive and is inside.
    unsafe fn span_of(&self, object: NonNull<u8>) -> NonNull<Span> {
        // SAFETY: forwarded from the caller.
        unsafe { Location::of(object) }.span().expect("M2: an object has a span")
    }

    /// The weak handles of the span that an object is in.
    ///
    /// # Safety
    ///
    /// As [`MHeap::span_of`].
    unsafe fn weak_handles(&self, object: NonNull<u8>) -> &WeakHandles {
        // SAFETY: F1: records live as long as the heap; the rest is forwarded from the caller.
        unsafe { self.span_of(object).as_ref() }.weak_handles()
    }

    /// The weak cell of an object, if it has one.
    ///
    /// # Safety
    ///
    /// `object` is the start of an object of this heap, or lies in a slot that objects share, and
    /// the caller holds it alive and is inside.
    #[must_use]
    pub unsafe fn weak_cell(&self, object: NonNull<u8>) -> Option<NonNull<u8>> {
        // SAFETY: forwarded from the caller.
        unsafe { self.weak_handles(object) }.get(object)
    }

    /// Makes a cell the weak cell of an object.
    ///
    /// # Errors
    ///
    /// If the object has one, or there is no memory.
    ///
    /// # Safety
    ///
    /// As [`MHeap::weak_cell`]. `cell` is an object of the kind
    /// [`WEAK_CELL`], made by the caller with this object as its target.
    pub unsafe fn add_weak_cell(
        &self,
        object: NonNull<u8>,
        cell: NonNull<u8>,
    ) -> Result<(), AddError> {
        // SAFETY: forwarded from the caller.
        let (span, handles) = unsafe { (self.span_of(object), self.weak_handles(object)) };
        handles.add(WeakHandle { object, cell }, || {
            let mut weak = self.weak_spans.lock();
            let has_room = weak.spans.try_reserve(1).is_ok();
            if has_room {
                weak.spans.push(span);
            }
            has_room
        })
    }

    /// Begins to clear weak handles: all that can be reached is marked.
    pub fn begin_clear_weak_handles(&self) {
        let mut weak = self.weak_spans.lock();
        debug_assert_eq!(weak.uncleared, 0, "a clearing ends before the next begins");
        weak.uncleared = weak.spans.len();
    }

    /// Looks at the weak handles of some spans, some more than `limit` handles at most: clears those
    /// of white objects, and marks the cells of the others (WH3). Returns whether it has looked at
    /// all. The unit that is not divided is a span.
    ///
    /// # Safety
    ///
    /// The world is stopped, and no thread marks. All that can be reached is marked.
    pub unsafe fn clear_weak_handles(&self, limit: usize, counts: &mut WeakCounts) -> bool {
        let weak = &mut *self.weak_spans.lock();
        let mut left = limit;
        while weak.uncleared > 0 && left > 0 {
            let at = weak.uncleared - 1;
            // SAFETY: F1; with the world stopped no other thread has the list.
            let handles = unsafe { weak.spans[at].as_ref() }.weak_handles();
            // SAFETY: forwarded from the caller; WH1, WH3: objects and cells of this heap, whose
            // memory was not swept.
            let (before, after) = handles.retain(|handle| unsafe { settle(handle, counts) });
            if after == 0 {
                // What takes its place was looked at, or is new: then its objects are marked (I6).
                weak.spans.swap_remove(at);
            }
            weak.uncleared = at;
            left = left.saturating_sub(before.max(1));
        }
        let len = weak.spans.len();
        if weak.uncleared == 0 && weak.spans.capacity() > 64 && len * 4 < weak.spans.capacity() {
            shrink_to(&mut weak.spans, len * 2);
        }
        weak.uncleared == 0
    }

    /// Clears the weak handle of an object, if it has one and is white, before the caller marks the
    /// object (WH4).
    ///
    /// # Safety
    ///
    /// As [`MHeap::weak_cell`], but the object may have been found dead. Handles are being cleared, or
    /// all were looked at, and nothing was swept since.
    #[cold]
    pub unsafe fn clear_weak_handle(&self, object: NonNull<u8>) {
        // SAFETY: forwarded from the caller.
        let handles = unsafe { self.weak_handles(object) };
        // The handles stay in the list, which the collector has still to look at.
        handles.each_in_granule(object, |handle| {
            // SAFETY: WH1.
            if unsafe { Location::of(handle.object) }.mark().is_white() {
                // SAFETY: WH3: a cell, which is not swept before the handle leaves the list.
                unsafe { handle.cell.cast::<WeakCell>().as_ref() }.clear_before_mark();
            }
            // Else another mutator has marked it just now, and this may be a new handle.
        });
    }

    /// Calls `visit` with every object that has a weak handle, and its cell: for the verifier.
    ///
    /// # Safety
    ///
    /// The world is stopped.
    pub unsafe fn each_weak_handle(&self, mut visit: impl FnMut(NonNull<u8>, NonNull<u8>)) {
        for span in &self.weak_spans.lock().spans {
            // SAFETY: F1.
            let handles = unsafe { span.as_ref() }.weak_handles().copy();
            handles.iter().for_each(|handle| visit(handle.object, handle.cell));
        }
    }
}

/// Clears a weak handle if its object is white, or marks its cell.
///
/// # Safety
///
/// As [`MHeap::clear_weak_handles`]; the handle is of this heap, and no memory of it was swept.
unsafe fn settle(handle: &WeakHandle, counts: &mut WeakCounts) -> Verdict {
    // SAFETY: forwarded from the caller.
    let (object, cell) = unsafe { (Location::of(handle.object), Location::of(handle.cell)) };
    // SAFETY: forwarded from the caller: a cell.
    let weak = unsafe { handle.cell.cast::<WeakCell>().as_ref() };
    if object.mark().is_white() {
        weak.clear();
    }
    if weak.target().is_none() {
        return Verdict::Remove;
    }
    debug_assert!(cell.kind().is_some_and(|kind| core::ptr::eq(kind, &raw const WEAK_CELL)), "WH3");
    if cell.mark().is_white() {
        cell.mark().mark_black();
        counts.objects += 1;
        counts.bytes += cell.slot_bytes();
    }
    Verdict::Keep
}
