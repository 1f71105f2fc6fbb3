//! [`ManualSpan`]: pages of the heap that hold no objects. (Go: `mSpanManual`.)
//!
//! Their owner frees them; marking, sweeping and look-ups by address skip them.
//!
//! * SK1: the page tables name the span of a manual page and no kind, and the page
//!   has no marks. The span is in no central list, and nothing in it has a weak handle.

use core::ptr::NonNull;

use heap_sync::atomic::Ordering;

use super::{Span, SpanState};
use crate::geometry::PAGE_SIZE;

/// The right to a run of manual pages.
#[derive(Debug)]
#[must_use = "a lost token loses the pages"]
pub struct ManualSpan {
    record: NonNull<Span>,
    base: NonNull<u8>,
    npages: usize,
}

// SAFETY: the token is the right to the pages, and may move with its owner.
unsafe impl Send for ManualSpan {}

impl ManualSpan {
    /// Sets up a record for fresh pages and takes the token.
    ///
    /// # Safety
    ///
    /// `record` is a dead record that is not in use elsewhere; the pages belong to it.
    pub(crate) unsafe fn set_up(
        record: NonNull<Span>,
        base: NonNull<u8>,
        npages: usize,
    ) -> ManualSpan {
        // SAFETY: the caller owns the dead record.
        let span = unsafe { record.as_ref() };
        debug_assert_eq!(span.state(), SpanState::Dead);
        // ORDERING: Release pairs with the Acquire in `state`.
        span.state.store(SpanState::Manual as u8, Ordering::Release);
        ManualSpan { record, base, npages }
    }

    /// The record.
    pub(crate) fn record(&self) -> NonNull<Span> {
        self.record
    }

    /// The first byte; derived from the arena's mapping.
    #[must_use]
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Pages.
    #[must_use]
    pub(crate) fn npages(&self) -> usize {
        self.npages
    }

    /// Bytes of the pages.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.npages * PAGE_SIZE
    }

    /// Ends the use of the pages: marks the record as dead.
    pub(crate) fn kill(self) -> NonNull<Span> {
        // SAFETY: records live as long as the heap (F1).
        let span = unsafe { self.record.as_ref() };
        // ORDERING: Release pairs with the Acquire in `state`.
        span.state.store(SpanState::Dead as u8, Ordering::Release);
        self.record
    }
}
