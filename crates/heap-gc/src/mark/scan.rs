//! [`Scanner`]: takes the grey objects of a page and traces them, in two halves.
//!
//! While a page is traced, the objects of the same page that it leads to are
//! marked and traced with it ([`Neighbours::Trace`]): they take no way through the
//! edges and the queue. So a page with a subtree on it is scanned about once, not once per level.

use heap_core::geometry::{GRANULE, GRANULE_SHIFT, PAGE_GRANULES};
use heap_core::marks::{Isa, grey_masks};
use heap_core::page_flag::MarkMode;
use heap_core::prefetch::prefetch_later;
use heap_core::tracer::{Batch, EdgeBuffer, Neighbours, TraceBatchFn};
use heap_sync::mutant;

use super::grey::MarkCounts;
use super::queue::Page;

/// A page between the two halves of its scan, with the objects to trace.
#[derive(Debug)]
pub(super) struct TakenPage {
    page: Page,
    trace: TraceBatchFn,
    slot_bytes: usize,
    batch: Batch,
}

/// One bit per cache line in the mask of a block: that of its first granule.
const LINES: u64 = 0x1111_1111_1111_1111;

/// A page is asked for whole when the pages before it led to this many objects on themselves, per
/// page: most of its lines will be wanted, not only those of its grey objects.
const MANY_NEIGHBOURS: usize = 16;

/// Pages between the two halves of their scan: one, and the next before it is finished.
const BATCHES: usize = 2;

/// How many of the objects traced with a page were not grey when it was taken: a
/// moving average over some eight pages, times eight.
#[derive(Debug, Default)]
struct NeighbourCount(usize);

impl NeighbourCount {
    #[inline(always)]
    fn add(&mut self, neighbours: usize) {
        self.0 = self.0 - self.0 / 8 + neighbours;
    }

    /// The lines to ask for beside those of grey objects.
    #[inline(always)]
    fn lines(&self) -> u64 {
        if self.0 >= MANY_NEIGHBOURS * 8 { LINES } else { 0 }
    }
}

/// What a worker keeps from one scan to the next.
#[derive(Debug)]
pub(super) struct Scanner {
    isa: Isa,
    neighbours: NeighbourCount,
    /// Batches that are not in use; of `BATCHES`.
    spare: Vec<Batch>,
}

impl Scanner {
    /// None if the system refuses the memory for the batches.
    pub(super) fn try_new(isa: Isa) -> Option<Scanner> {
        let mut spare = Vec::new();
        spare.try_reserve_exact(BATCHES).ok()?;
        for _ in 0..BATCHES {
            spare.push(Batch::try_new()?);
        }
        Some(Scanner { isa, neighbours: NeighbourCount::default(), spare })
    }

    /// First half of a page's scan: takes its grey objects and asks for their
    /// memory. Between the halves another page is traced, so that the memory has
    /// time to arrive.
    pub(super) fn begin<M: MarkMode>(&mut self, page: Page) -> TakenPage {
        let location = page.location();
        location.page_flag().begin_scan::<M>();
        mutant!("clears the flag late" => { let _ = location.page_flag().must_queue::<M>(); });
        let slot_bytes = location.slot_bytes();
        // Distance from an object's first granule to its last.
        let tail = (slot_bytes.div_ceil(GRANULE) - 1).min(63);
        let kind = location.kind().expect("M2: a queued page has a kind");
        let trace = kind.trace_batch().expect("noscan pages are never queued");
        let marks = location.page_marks();
        let masks = grey_masks(self.isa, marks);
        let start = location.pointer().as_ptr();
        let more_lines = self.neighbours.lines();
        let mut batch = self.spare.pop().expect("two pages are between the halves at most");
        batch.clear();
        for (block, mask) in masks.into_iter().enumerate() {
            let mut left = mask;
            while left != 0 {
                let granule = block * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                marks[granule & (PAGE_GRANULES - 1)].mark_black();
                batch.push(granule);
            }
            // One prefetch per cache line in which a grey object starts or ends:
            // fold the four granules of a line into one bit. (Not a straight run
            // of prefetches when the whole page is wanted: they come too fast, and
            // some are lost.)
            let ends = mask | mask << tail;
            let mut lines = (ends | ends >> 1 | ends >> 2 | ends >> 3) & LINES | more_lines;
            while lines != 0 {
                let granule = block * 64 + lines.trailing_zeros() as usize;
                lines &= lines - 1;
                prefetch_later(start.wrapping_add(granule << GRANULE_SHIFT));
            }
        }
        mutant!("clears the flag late" => location.page_flag().begin_scan::<M>());
        TakenPage { page, trace, slot_bytes, batch }
    }

    /// Second half: traces the objects that were taken, and those of the same page
    /// that they lead to.
    pub(super) fn finish(
        &mut self,
        taken: TakenPage,
        buffer: &mut EdgeBuffer,
        counts: &mut MarkCounts,
    ) {
        let TakenPage { page, trace, slot_bytes, mut batch } = taken;
        let location = page.location();
        let greys = batch.count();
        // SAFETY: grey granules are starts of live objects of the page's kind (K1):
        // handles lead to starts. Each was taken once, and is black (TR2).
        unsafe {
            let neighbours = Neighbours::Trace(location.page_marks());
            buffer.trace(trace, location.pointer().as_ptr(), &mut batch, neighbours);
        }
        counts.count(batch.count(), slot_bytes);
        self.neighbours.add(batch.count() - greys);
        self.spare.push(batch);
    }
}
