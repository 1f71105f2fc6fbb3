//! The write barrier: [`SatbBuffer`] is what a mutator makes grey while an incremental mark
//! phase is under way, [`GreyPages`] what all of them have.
//!
//! A mark phase that is done in steps finds what was reachable when it began: a snapshot.
//! Between two steps mutators change handles in objects that are not traced yet. Before
//! the first change of a cell the barrier reports what it holds, and those objects turn
//! grey: the snapshot is found though the cell has changed. (Yuasa, "Real-time garbage
//! collection on general-purpose machines", 1990.)
//!
//! * B1: what a cell held when marking began is marked, or the cell still holds it, or it
//!   is grey and its page is in some mutator's list.
//! * B4: the list of a mutator that is outside is empty: it hands the list over before it leaves.
//!
//! Whether there is anything to report is the [`Phase`](crate::phase::Phase) that mutators know (B2).
//!
//! The owner, inside, adds and hands over (MU1); the collector, with the world stopped, takes what
//! was handed over.
//!
//! Model: `tests/loom_barrier.rs`.

use std::ptr::NonNull;

use heap_core::location::Location;
use heap_core::page_flag::Barrier;
use heap_core::tracer::{EdgeBuffer, Weakness};
use heap_sync::lock::Mutex;
use heap_sync::mutant;

use crate::gate::WorldStopped;
use crate::mark::{MarkCounts, Page, mark_grey};

/// Pages with objects that a mutator has made grey, and that no other has queued (M3).
#[derive(Debug, Default)]
pub(crate) struct SatbBuffer {
    /// What cells report to; made when it is needed.
    buffer: Option<Box<EdgeBuffer>>,
    /// An object on its way to `found`.
    fresh: Vec<Location>,
    found: Found,
}

/// What mutators have made grey.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Pages with grey objects.
    pub(crate) pages: Vec<Page>,
    /// Objects that were awaited (EP1).
    pub(crate) woken: Vec<NonNull<u8>>,
    /// Objects that needed no tracing.
    pub(crate) counts: MarkCounts,
}

// SAFETY: addresses of objects of the heap that the list belongs to, which may be marked from
// any thread.
unsafe impl Send for Found {}

impl Found {
    fn is_empty(&self) -> bool {
        self.pages.is_empty() && self.woken.is_empty() && self.counts == MarkCounts::default()
    }
}

// SAFETY: addresses of objects of the heap that the list belongs to, which may be marked from
// any thread; the buffer is empty between two calls.
unsafe impl Send for SatbBuffer {}

impl SatbBuffer {
    /// Makes everything grey that `report` reports. `before` is called with each object first.
    #[inline]
    pub(crate) fn add(&mut self, report: impl FnOnce(&mut EdgeBuffer), before: impl Fn(Location)) {
        mutant!("no barrier" => return);
        // What a cell ceases to hold is kept, also what it holds weakly: the key may yet be reached.
        let buffer = self.buffer.get_or_insert_with(|| Box::new(EdgeBuffer::of(Weakness::Values)));
        report(buffer);
        debug_assert!(!buffer.has_pieces(), "only whole objects defer pieces");
        let Found { pages, woken, counts } = &mut self.found;
        for object in buffer.edges() {
            // SAFETY: the code that reported it says so (contract of `Tracer::edge`).
            before(unsafe { Location::of(*object) });
            // SAFETY: as above.
            unsafe { mark_grey::<Barrier>(*object, &mut self.fresh, woken, counts) };
            if let Some(object) = self.fresh.pop()
                && object.page_flag().must_queue::<Barrier>()
            {
                pages.push(Page::of(object));
            }
        }
        buffer.clear_edges();
        // A large cell may have been reported.
        self.buffer.take_if(|buffer| buffer.capacity() > KEEP);
    }

    /// Hands what it has to the collector, before its mutator leaves (B4).
    #[inline]
    pub(crate) fn hand_over(&mut self, to: &GreyPages) {
        if !self.found.is_empty() {
            to.take_over(&mut self.found);
        }
    }
}

/// What mutators have made grey and the collector has not taken. A page is queued once, so that
/// this is bounded by the pages of the heap: a thousandth of its size.
#[derive(Debug, Default)]
pub(crate) struct GreyPages(Mutex<Found>);

impl GreyPages {
    #[cold]
    fn take_over(&self, found: &mut Found) {
        let mut all = self.0.lock();
        all.pages.append(&mut found.pages);
        all.woken.append(&mut found.woken);
        all.counts += std::mem::take(&mut found.counts);
        drop(all);
        if found.pages.capacity() > KEEP {
            found.pages = Vec::new();
        }
    }

    /// Takes all, with the world stopped: no mutator has any that are not here (B4).
    pub(crate) fn take(&self, _world: &WorldStopped<'_>) -> Found {
        mutant!("takes no lists" => return Found::default());
        std::mem::take(&mut *self.0.lock())
    }

    /// What the list takes.
    pub(crate) fn metadata_bytes(&self) -> usize {
        let found = self.0.lock();
        found.pages.capacity() * size_of::<Page>()
            + found.woken.capacity() * size_of::<NonNull<u8>>()
    }
}

/// A list with room for more is given back when it is empty.
const KEEP: usize = 4096;

#[cfg(all(test, heap_loom))]
#[path = "tests/loom_barrier.rs"]
mod loom_barrier;
