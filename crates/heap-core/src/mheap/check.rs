//! The checks of the verifier that need a heap's private parts: pages, regions and central
//! lists, recounted. With the world stopped.

use core::ptr::NonNull;

use super::MHeap;
use crate::arena::{Arena, HEADER_PAGES};
use crate::error::{VerifyError, ensure};
use crate::geometry::{ARENA_PAGES, ARENA_SIZE, PAGE_SIZE};
use crate::marks::{PageMasks, marked_masks};
use crate::mcentral::{Central, Shards};
use crate::mspan::Span;
use crate::page_alloc::PageAlloc;
use crate::sweep_gen::SweepGen;

/// Where a span is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) span: NonNull<Span>,
    pub(crate) central: NonNull<Central>,
    /// In a half for swept spans.
    pub(crate) swept: bool,
    /// In a list for spans without free slots.
    pub(crate) full: bool,
}

impl MHeap {
    /// Every span in a central list. Takes them all out and puts them back.
    ///
    /// # Safety
    ///
    /// As [`MHeap::find_object`].
    pub(crate) unsafe fn listed(&self) -> Vec<Listed> {
        let now = self.now();
        let mut all = Vec::new();
        for central in self.centrals() {
            for (swept, full) in [(true, true), (true, false), (false, true), (false, false)] {
                for shard in list(central, now, swept, full).all() {
                    let first = all.len();
                    while let Some(span) = shard.pop() {
                        let central = NonNull::from(central);
                        all.push(Listed { span, central, swept, full });
                    }
                    // SAFETY: just taken out.
                    all[first..].iter().for_each(|listed| unsafe { shard.push(listed.span) });
                }
            }
        }
        all
    }

    /// Checks regions, page allocator and page tables against the spans in use,
    /// which are given as first address and number of pages, sorted.
    ///
    /// # Safety
    ///
    /// As [`MHeap::find_object`].
    pub(crate) unsafe fn check_pages(&self, spans: &[(usize, usize)]) -> Result<(), VerifyError> {
        let bitmaps = self.bits.bytes();
        let mut pages = self.pages.lock();
        for set in pages.sets() {
            set.check().map_err(|message| {
                let invariant = page_invariant(&message);
                VerifyError { invariant, message }
            })?;
        }

        let mut end = 0;
        let mut arenas = 0;
        for region in pages.regions.iter() {
            let base = region.base().addr().get();
            ensure(base >= end && base.is_multiple_of(ARENA_SIZE), "RG1", || {
                format!("the region at {base:#x} is out of order")
            })?;
            end = base + region.bytes();
            let inside = spans_within(spans, base, end);
            if region.bytes() > ARENA_SIZE {
                let whole = [(base + HEADER_PAGES * PAGE_SIZE, region.bytes() / PAGE_SIZE)];
                ensure(inside.len() == 1 && inside[0].0 == whole[0].0, "U1", || {
                    format!("the huge region at {base:#x} holds {inside:x?}")
                })?;
                continue;
            }
            arenas += 1;
            // SAFETY: RG2; the lock keeps the region mapped.
            let arena = unsafe { Arena::of(region.base()) };
            self.check_tables(arena, base, region.bytes() / PAGE_SIZE, inside)?;
        }
        let strays = spans.iter().find(|(base, _)| pages.regions.find(*base).is_none());
        ensure(strays.is_none(), "RG1", || format!("{strays:x?} is in no region"))?;
        let arenas_known: usize = pages.sets().map(PageAlloc::arenas).iter().sum();
        // A huge region may be as short as an arena.
        ensure(arenas_known <= arenas, "RG1", || {
            format!("the page allocator has {arenas_known} arenas, the index {arenas}")
        })?;
        for &(base, npages) in spans.iter().filter(|(_, n)| *n <= ARENA_PAGES - HEADER_PAGES) {
            ensure(!pages.set_at(base).any_free(base, npages), "U1", || {
                format!("a page of the span at {base:#x} is free")
            })?;
        }
        let memory = self.memory_of(&pages, bitmaps);
        ensure(memory.adds_up(), "Z2", || format!("not every byte is counted once: {memory:?}"))
    }

    /// M1, M2: pages that no span covers have empty tables and no marks.
    fn check_tables(
        &self,
        arena: Arena<'_>,
        base: usize,
        npages: usize,
        spans: &[(usize, usize)],
    ) -> Result<(), VerifyError> {
        let mut spans = spans.iter().peekable();
        for page in HEADER_PAGES..npages {
            let address = base + page * PAGE_SIZE;
            spans.next_if(|(first, length)| first + length * PAGE_SIZE <= address);
            if spans.peek().is_some_and(|(first, _)| *first <= address) {
                continue;
            }
            ensure(arena.span(page).is_none() && arena.kind(page).is_none(), "M2", || {
                format!("page {page}, which no span covers, is in the tables")
            })?;
            let white = marked_masks(self.isa(), arena.page_marks(page)) == PageMasks::default();
            ensure(white, "M1", || format!("page {page}, which no span covers, has marks"))?;
        }
        Ok(())
    }

    /// Tickets to sweep that are out.
    pub(crate) fn tickets(&self) -> u32 {
        self.active.tickets()
    }

    /// The memory of bitmaps of spans in use: see [`crate::gcbits::GcBits::in_use`].
    pub(crate) fn bitmaps_in_use(&self) -> Vec<(usize, usize)> {
        self.bits.in_use()
    }

    /// The spans that are listed as having weak handles (WH2).
    pub(crate) fn weak_spans(&self) -> Vec<*const Span> {
        self.weak_spans.lock().spans.iter().map(|span| span.as_ptr().cast_const()).collect()
    }

    /// The number of records ever made, and of those not in use.
    pub(crate) fn records(&self) -> (usize, usize) {
        let pages = self.pages.lock();
        (pages.spans.all().count(), pages.spans.free_records())
    }
}

/// The invariant that the page allocator's check says is broken: its message begins
/// with the id.
fn page_invariant(message: &str) -> &'static str {
    let ids = ["P1", "P2", "P3", "P4", "P5", "P6"];
    ids.into_iter().find(|id| message.starts_with(id)).unwrap_or("P")
}

fn spans_within(spans: &[(usize, usize)], from: usize, to: usize) -> &[(usize, usize)] {
    let first = spans.partition_point(|(base, _)| *base < from);
    let end = spans.partition_point(|(base, _)| *base < to);
    &spans[first..end]
}

fn list(central: &Central, now: SweepGen, swept: bool, full: bool) -> &Shards {
    match (swept, full) {
        (true, true) => central.full_swept(now),
        (true, false) => central.partial_swept(now),
        (false, true) => central.full_unswept(now),
        (false, false) => central.partial_unswept(now),
    }
}
