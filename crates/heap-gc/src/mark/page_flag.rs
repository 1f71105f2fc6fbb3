//! The protocol of a page's `queued` flag (M3): markers announce, scanners
//! begin.
//!
//! Dekker's algorithm again. A marker writes the mark, then (after a fence) reads the
//! flag; a scanner clears the flag, then (after a fence) reads the marks. So a
//! fresh mark is either seen by the scan that is about to read the marks, or
//! finds the flag clear and queues the page again. One fence serves a whole
//! batch of marks. Called by the mark phase workers only.
//!
//! * PF1: when a marker has announced a mark and asked the page's flag, the mark is scanned, or the
//!   page is queued (by this marker or by another).
//! * PF2: a page is in at most one queue.
//!
//! Model: `tests/loom_page_queue.rs`.

use heap_core::arena::{QUEUED, UNQUEUED};
use heap_sync::atomic::{AtomicU8, Ordering, fence};

/// What the protocol does in a worker's situation, decided at compile time.
/// The model tests add wrong answers and see them caught.
pub(crate) trait MarkMode {
    /// A marker's fence between its marks and the flags.
    const MARKER_FENCES: bool;
    /// A scanner's fence between the flag and the marks.
    const SCANNER_FENCES: bool;
    /// Whether the flag is turned by a read-modify-write.
    const TURNS_ATOMICALLY: bool;
}

/// One worker marks: no fences, no read-modify-writes.
#[derive(Debug)]
pub(crate) struct Serial;

impl MarkMode for Serial {
    const MARKER_FENCES: bool = false;
    const SCANNER_FENCES: bool = false;
    const TURNS_ATOMICALLY: bool = false;
}

/// Several workers mark at the same time.
#[derive(Debug)]
pub(crate) struct Parallel;

impl MarkMode for Parallel {
    const MARKER_FENCES: bool = true;
    const SCANNER_FENCES: bool = true;
    const TURNS_ATOMICALLY: bool = true;
}

/// Whether a page is queued for certain, so that the mark just stored on it needs
/// no announcement. Only a single worker can tell without a fence.
#[inline(always)]
pub(crate) fn is_surely_queued<S: MarkMode>(queued: &AtomicU8) -> bool {
    !S::MARKER_FENCES && queued.load(Ordering::Relaxed) != UNQUEUED
}

/// A marker has stored a batch of marks and will ask the flags next.
#[inline(always)]
pub(crate) fn announce_marks<S: MarkMode>() {
    if S::MARKER_FENCES {
        // ORDERING: orders the marks above before the flags below; pairs with
        // the fence in `begin_scan`.
        // Model: loom_page_queue::a_fresh_mark_is_scanned_or_queued.
        fence(Ordering::SeqCst);
    }
}

/// Whether the caller must queue the page; if so, the flag is set already. After
/// [`announce_marks`].
#[inline(always)]
pub(crate) fn must_queue<S: MarkMode>(queued: &AtomicU8) -> bool {
    // ORDERING: Relaxed: ordered after the marks by the fence.
    if queued.load(Ordering::Relaxed) != UNQUEUED {
        return false;
    }
    if S::TURNS_ATOMICALLY {
        // ORDERING: AcqRel: the worker that turns the flag owns the push (PF2).
        queued.swap(QUEUED, Ordering::AcqRel) == UNQUEUED
    } else {
        queued.store(QUEUED, Ordering::Relaxed);
        true
    }
}

/// The caller has taken the page from its queue and reads its marks next.
#[inline(always)]
pub(crate) fn begin_scan<S: MarkMode>(queued: &AtomicU8) {
    if S::SCANNER_FENCES {
        // ORDERING: the flag before the marks; pairs with the fence in
        // `announce_marks`.
        queued.store(UNQUEUED, Ordering::Release);
        fence(Ordering::SeqCst);
    } else {
        queued.store(UNQUEUED, Ordering::Relaxed);
    }
}
