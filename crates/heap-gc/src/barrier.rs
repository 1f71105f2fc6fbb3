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
//! Where there is no memory for what is reported it is marked at once, and where there is none for a
//! page, the page is lost until the collector searches for it (MK5).
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
use heap_core::tracer::{EdgeBuffer, Finds, Spill, Weakness};
use heap_sync::lock::Mutex;
use heap_sync::mutant;

use crate::gate::WorldStopped;
use crate::mark::{MarkCounts, Page, append, mark_grey, push, spill};

/// Pages with objects that a mutator has made grey, and that no other has queued (M3).
#[derive(Debug)]
pub(crate) struct SatbBuffer {
    /// What cells report to.
    buffer: EdgeBuffer,
    found: Found,
}

impl Default for SatbBuffer {
    fn default() -> Self {
        // What a cell ceases to hold is kept, also what it holds weakly: the key may yet be reached.
        SatbBuffer { buffer: EdgeBuffer::of(Weakness::Values), found: Found::default() }
    }
}

/// What mutators have made grey.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Pages with grey objects.
    pub(crate) pages: Vec<Page>,
    /// Objects that were awaited (EP1), and what was lost.
    pub(crate) finds: Finds,
    /// Objects that needed no tracing.
    pub(crate) counts: MarkCounts,
}

// SAFETY: addresses of objects of the heap that the list belongs to, which may be marked from
// any thread.
unsafe impl Send for Found {}

impl Found {
    /// Takes over what was found beside pages, as far as there is memory for it.
    fn take_finds(&mut self, from: Finds) {
        let finds = &mut self.finds;
        finds.weak_lost |= from.weak_lost | !append(&mut finds.woken, from.woken);
        finds.pages_lost |= from.pages_lost;
        self.counts += MarkCounts { objects: from.spilled_objects, bytes: from.spilled_bytes };
    }

    fn is_empty(&self) -> bool {
        self.pages.is_empty() && self.finds.is_empty() && self.counts == MarkCounts::default()
    }
}

// SAFETY: addresses of objects of the heap that the list belongs to, which may be marked from
// any thread; the buffer is empty between two calls.
unsafe impl Send for SatbBuffer {}

impl SatbBuffer {
    /// Makes everything grey that `report` reports. `before` is called with each object first.
    #[inline]
    pub(crate) fn add<B: Fn(Location)>(&mut self, report: impl FnOnce(&mut EdgeBuffer), before: B) {
        mutant!("no barrier" => return);
        let buffer = &mut self.buffer;
        let to = Spill::new(spill_after::<B>, std::ptr::from_ref(&before).cast());
        // SAFETY: until it is set back below, `before` is there, a mark phase is under way, and edges are
        // as the code that reports them says.
        unsafe { buffer.spill_to(Some(to)) };
        report(buffer);
        // SAFETY: there is none to be called.
        unsafe { buffer.spill_to(None) };
        debug_assert!(!buffer.has_pieces(), "only whole objects defer pieces");
        let Found { pages, finds, counts } = &mut self.found;
        for object in buffer.edges() {
            // SAFETY: the code that reported it says so (contract of `Tracer::edge`).
            before(unsafe { Location::of(*object) });
            // SAFETY: as above.
            if let Some(object) = unsafe { mark_grey::<Barrier>(*object, finds, counts) }
                && object.page_flag().must_queue::<Barrier>()
            {
                finds.pages_lost |= push(pages, Page::of(object)).is_err();
            }
        }
        buffer.clear_edges();
        if buffer.has_finds() {
            self.take_spilled();
        }
        // A large cell may have been reported.
        if self.buffer.capacity() > KEEP {
            self.buffer = EdgeBuffer::of(Weakness::Values);
        }
    }

    /// Takes what was found beside edges.
    #[cold]
    fn take_spilled(&mut self) {
        let spilled = std::mem::take(self.buffer.finds());
        self.found.take_finds(spilled);
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
        let all = &mut *self.0.lock();
        // Pages are lost if there is no room for them: their flags say that they are queued.
        all.finds.pages_lost |= !append(&mut all.pages, std::mem::take(&mut found.pages));
        all.take_finds(std::mem::take(&mut found.finds));
        all.counts += std::mem::take(&mut found.counts);
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
            + found.finds.woken.capacity() * size_of::<NonNull<u8>>()
    }
}

/// Marks what found no room in the buffer, after it was looked at: a
/// [`SpillFn`](heap_core::tracer::SpillFn).
///
/// # Safety
///
/// As [`spill`]; the context is a `B`.
unsafe fn spill_after<B: Fn(Location)>(before: *const (), object: NonNull<u8>, finds: &mut Finds) {
    // SAFETY: forwarded from the caller.
    unsafe {
        (*before.cast::<B>())(Location::of(object));
        spill::<Barrier>(std::ptr::null(), object, finds);
    }
}

/// A buffer with room for more is given back.
const KEEP: usize = 4096;

#[cfg(all(test, heap_loom))]
#[path = "tests/loom_barrier.rs"]
mod loom_barrier;
