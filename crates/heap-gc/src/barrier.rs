//! The write barrier: [`SatbBuffer`] is what a mutator makes grey while an incremental mark
//! phase is under way, [`MarkCycleId`] names that phase.
//!
//! A mark phase that is done in steps finds what was reachable when it began: a snapshot.
//! Between two steps mutators change handles in objects that are not traced yet. Before
//! the first change of a cell the barrier reports what it holds, and those objects turn
//! grey: the snapshot is found though the cell has changed. (Yuasa, "Real-time garbage
//! collection on general-purpose machines", 1990.)
//!
//! * B1: what a cell held when marking began is marked, or the cell still holds it, or it
//!   is grey and in some mutator's list.
//! * B2: a mutator knows whether an incremental mark phase is under way: that changes only while it
//!   is outside, and it looks when it comes inside.
//!
//! The owner, inside, adds; the collector, with the world stopped, takes (MU1).
//!
//! Model: `tests/loom_barrier.rs`.

use std::num::NonZero;
use std::sync::atomic::Ordering;

use heap_core::location::Location;
use heap_core::page_flag::Parallel;
use heap_core::tracer::EdgeBuffer;

use crate::mark::{MarkCounts, Seed, mark_grey};

/// Names a mark phase; no other one of the process has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkCycleId(NonZero<u64>);

/// The name of the next mark phase.
static NEXT_MARK_CYCLE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

impl MarkCycleId {
    /// A new name.
    pub(crate) fn next() -> MarkCycleId {
        let id = NEXT_MARK_CYCLE.fetch_add(1, Ordering::Relaxed);
        MarkCycleId(NonZero::new(id).expect("2^64 markings take longer than machines last"))
    }

    /// The one that a word names, if it names one: see [`MarkCycleId::get`].
    pub(crate) fn from_word(word: u64) -> Option<MarkCycleId> {
        NonZero::new(word).map(MarkCycleId)
    }

    /// The name as a number.
    #[inline(always)]
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// A mutator's list of objects that it has made grey.
#[derive(Debug, Default)]
pub(crate) struct SatbBuffer {
    /// What cells report to; made when it is needed.
    buffer: Option<Box<EdgeBuffer>>,
    /// Grey; their pages may not be queued. Each was white before, so it is here once, or in the
    /// lists of all mutators that found it white at the same time.
    grey: Vec<Location>,
    /// What needed no tracing.
    counts: MarkCounts,
}

// SAFETY: addresses of objects of the heap that the list belongs to, which may be marked from
// any thread; the buffer is empty between two calls.
unsafe impl Send for SatbBuffer {}

impl SatbBuffer {
    /// Makes everything grey that `report` reports.
    #[inline]
    pub(crate) fn add(&mut self, report: impl FnOnce(&mut EdgeBuffer)) {
        heap_sync::mutant!("no barrier" => return);
        let buffer = self.buffer.get_or_insert_default();
        report(buffer);
        debug_assert!(!buffer.has_pieces(), "only whole objects defer pieces");
        for object in buffer.edges() {
            // Of two mutators that do this to an object at the same time both may find it
            // white; then it is in both lists, and its page is queued once. (`Parallel`: a
            // mutator does not ask whether the page is queued.)
            // SAFETY: the code that reported it says so (contract of `Tracer::edge`).
            unsafe { mark_grey::<Parallel>(*object, &mut self.grey, &mut self.counts) };
        }
        buffer.clear_edges();
    }

    /// Hands the objects to the collector.
    pub(crate) fn take(&mut self, visit: &mut dyn FnMut(Seed)) -> MarkCounts {
        for object in self.grey.drain(..) {
            visit(Seed::Grey(object));
        }
        if self.grey.capacity() > KEEP {
            self.grey = Vec::new();
        }
        // A large cell may have been reported.
        self.buffer.take_if(|buffer| buffer.capacity() > KEEP);
        std::mem::take(&mut self.counts)
    }

    /// Takes over what another mutator has found.
    pub(crate) fn append(&mut self, other: &mut SatbBuffer) {
        self.grey.append(&mut other.grey);
        self.counts += std::mem::take(&mut other.counts);
    }

    /// Whether there is nothing for the collector.
    pub(crate) fn is_empty(&self) -> bool {
        self.grey.is_empty() && self.counts == MarkCounts::default()
    }
}

/// A list with room for more is given back when it is empty.
const KEEP: usize = 4096;

#[cfg(all(test, heap_loom))]
#[path = "tests/loom_barrier.rs"]
mod loom_barrier;
