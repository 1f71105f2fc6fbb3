//! [`PageFlag`]: whether a page is in a work queue of a mark phase, and the protocol by which it
//! gets there: markers announce, scanners begin.
//!
//! Dekker's algorithm again. A marker writes the mark, then (after a fence) reads the
//! flag; a scanner clears the flag, then (after a fence) reads the marks. So a
//! fresh mark is either seen by the scan that is about to read the marks, or
//! finds the flag clear and queues the page again. One fence serves a whole
//! batch of marks. Called by the workers of a mark phase, and between its steps by mutators.
//!
//! * PF1: when a marker has announced a mark and asked the page's flag, the mark is scanned, or the
//!   page is queued (by this marker or by another).
//! * M3: a page is in at most one work queue. Its flag says that it is in one, or that it is *lost*:
//!   there was no memory for the queue. So the flags are a queue that takes no memory: when no worker
//!   has anything else to do, a page whose flag says that it is queued is lost, and is found by a look
//!   at all flags ([`MHeap::next_lost_page`](crate::mheap::MHeap::next_lost_page)).
//!
//! A page whose objects hold no handles is never queued, and its flag says that too: so
//! a marker that has found an object learns from one byte whether it is to be traced.
//!
//! Model: `tests/loom_page_queue.rs`.

use heap_sync::atomic::{AtomicU8, Ordering, fence};

/// In no work queue. (Zero: as fresh memory reads.)
const UNQUEUED: u8 = 0;
/// In a work queue.
const QUEUED: u8 = 1;
/// Objects on the page hold no handles.
const NOSCAN: u8 = 2;

/// What the protocol does in a worker's situation, decided at compile time.
/// The model tests add wrong answers and see them caught.
pub trait MarkMode {
    /// A marker's fence between its marks and the flags.
    const MARKER_FENCES: bool;
    /// A scanner's fence between the flag and the marks.
    const SCANNER_FENCES: bool;
    /// Whether the flag is turned by a read-modify-write.
    const TURNS_ATOMICALLY: bool;
}

/// One worker marks: no fences, no read-modify-writes.
#[derive(Debug)]
pub struct Serial;

impl MarkMode for Serial {
    const MARKER_FENCES: bool = false;
    const SCANNER_FENCES: bool = false;
    const TURNS_ATOMICALLY: bool = false;
}

/// Several workers mark at the same time.
#[derive(Debug)]
pub struct Parallel;

impl MarkMode for Parallel {
    const MARKER_FENCES: bool = true;
    const SCANNER_FENCES: bool = true;
    const TURNS_ATOMICALLY: bool = true;
}

/// Mutators mark, in their write barriers, while no worker scans: a page that is queued stays so
/// until the world is stopped, so that there is nothing to announce; but each flag is turned by one
/// of them.
#[derive(Debug)]
pub struct Barrier;

impl MarkMode for Barrier {
    const MARKER_FENCES: bool = false;
    const SCANNER_FENCES: bool = false;
    const TURNS_ATOMICALLY: bool = true;
}

/// The queue flag of a page.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct PageFlag(AtomicU8);

impl PageFlag {
    /// Begins the life of a page: it is in no queue. `noscan`: and never will be.
    pub(crate) fn reset(&self, noscan: bool) {
        // ORDERING: Relaxed: published with the page's span (M2).
        self.0.store(if noscan { NOSCAN } else { UNQUEUED }, Ordering::Relaxed);
    }

    /// Whether objects on the page hold no handles.
    #[inline(always)]
    #[must_use]
    pub fn is_noscan(&self) -> bool {
        // ORDERING: Relaxed: it is so as long as the page has objects (M2).
        self.0.load(Ordering::Relaxed) == NOSCAN
    }

    /// Whether the page is in a work queue, or lost.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        self.0.load(Ordering::Relaxed) == QUEUED
    }

    /// Whether the page is queued for certain, so that the mark just stored on it needs
    /// no announcement. Only where no other worker scans can that be told without a fence.
    #[inline(always)]
    #[must_use]
    pub fn is_surely_queued<M: MarkMode>(&self) -> bool {
        !M::MARKER_FENCES && self.0.load(Ordering::Relaxed) != UNQUEUED
    }

    /// Whether the caller must queue the page; if so, the flag is set already. After
    /// [`announce_marks`].
    #[inline(always)]
    #[must_use]
    pub fn must_queue<M: MarkMode>(&self) -> bool {
        // ORDERING: Relaxed: ordered after the marks by the fence.
        if self.0.load(Ordering::Relaxed) != UNQUEUED {
            return false;
        }
        if M::TURNS_ATOMICALLY {
            // ORDERING: AcqRel: the worker that turns the flag owns the push (M3).
            // Model: loom_page_queue::two_markers_queue_a_page_once.
            self.0.swap(QUEUED, Ordering::AcqRel) == UNQUEUED
        } else {
            self.0.store(QUEUED, Ordering::Relaxed);
            true
        }
    }

    /// Comes between taking the page from its queue and reading its marks: from here on it may be
    /// queued again.
    #[inline(always)]
    pub fn begin_scan<M: MarkMode>(&self) {
        if M::SCANNER_FENCES {
            // ORDERING: the flag before the marks; pairs with the fence in
            // `announce_marks`.
            // Model: loom_page_queue::a_fresh_mark_is_scanned_or_queued.
            self.0.store(UNQUEUED, Ordering::Release);
            fence(Ordering::SeqCst);
        } else {
            self.0.store(UNQUEUED, Ordering::Relaxed);
        }
    }
}

/// A marker has stored a batch of marks and will ask the flags next.
#[inline(always)]
pub fn announce_marks<M: MarkMode>() {
    if M::MARKER_FENCES {
        // ORDERING: orders the marks above before the flags below; pairs with
        // the fence in `begin_scan`.
        // Model: loom_page_queue::a_fresh_mark_is_scanned_or_queued.
        fence(Ordering::SeqCst);
    }
}
