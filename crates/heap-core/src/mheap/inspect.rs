//! Inspection of a heap: objects by address, all spans, the use of its memory.

use core::ptr::NonNull;
use std::collections::BTreeMap;

use heap_sync::atomic::Ordering;

use super::MHeap;
use super::pages::Pages;
use crate::arena::{Arena, HEADER_PAGES};
use crate::geometry::{ARENA_SIZE, PAGE_SIZE};
use crate::mspan::{Body, Span, SpanState};
use crate::size_class::SizeClass;

/// The memory of a heap by use, in bytes, all of one moment.
///
/// `mapped = in_use + idle + released + heads`. Records and bitmaps come from the program's
/// allocator and are not part of `mapped`.
// The sum is Z2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// Bytes of address space that the heap can use: arenas and the regions of objects
    /// larger than an arena. Slack for alignment is not counted.
    pub mapped: usize,
    /// Bytes of pages that objects and stacks occupy.
    pub in_use: usize,
    /// Bytes of those pages that stacks occupy, free blocks in caches and pool included.
    pub stacks: usize,
    /// Bytes of free pages with memory behind them.
    pub idle: usize,
    /// Bytes of free pages without memory: never touched, or given back to the system.
    pub released: usize,
    /// Bytes of the heads of arenas: address space, of which only the part that describes
    /// used pages has memory behind it.
    pub heads: usize,
    /// Bytes of span records.
    pub records: usize,
    /// Bytes of allocation bitmaps.
    pub bitmaps: usize,
    /// Number of arenas and of regions of objects larger than an arena.
    pub regions: usize,
}

impl MemoryStats {
    /// Bytes of the heap's own tables.
    #[must_use]
    pub fn metadata(&self) -> usize {
        self.heads + self.records + self.bitmaps
    }

    /// Whether every mapped byte is counted once.
    // Z2.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.mapped == self.in_use + self.idle + self.released + self.heads
    }
}

/// The objects of one kind and size class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistogramRow {
    /// Name of the kind: that of the type, or `noscan` or `tiny` for types without handles
    /// and destructors.
    pub kind: &'static str,
    /// The size class; [`SizeClass::LARGE`] for objects with a span of their own.
    pub class: SizeClass,
    /// Spans.
    pub spans: usize,
    /// Pages of those spans, of 8 KiB each.
    pub pages: usize,
    /// Slots of those spans.
    pub slots: usize,
    /// Objects: slots that are allocated.
    pub objects: usize,
    /// Bytes of those slots.
    pub bytes: usize,
}

impl MHeap {
    /// The object that contains `address`, if the address lies in an allocated
    /// slot of this heap: its start and its span's contents. Any address may be
    /// asked for: garbage, free slots, the heap's own tables, the middle of a huge
    /// object, other heaps.
    ///
    /// # Safety
    ///
    /// As long as the span's contents are used, the world is stopped and no sweeper is at
    /// work, or the caller can otherwise rule out that spans change hands.
    #[must_use]
    pub unsafe fn find_object(&self, address: usize) -> Option<(NonNull<u8>, Body)> {
        let pages = self.pages.lock();
        let head = pages.regions.find(address)?.base();
        // SAFETY: RG2; the region is mapped as long as it is in the index, and the
        // lock keeps it there.
        let arena = unsafe { Arena::of(head) };
        let offset = address - head.addr().get();
        let page = match offset / PAGE_SIZE {
            page if page < HEADER_PAGES => return None,
            page if offset < ARENA_SIZE => page,
            // Beyond the reach of the head's tables: only a huge object is there,
            // and it starts right behind the head.
            _ => HEADER_PAGES,
        };
        // SAFETY: records live as long as the heap (Y3).
        let span = unsafe { arena.span(page)?.as_ref() };
        if span.state() != SpanState::InUse {
            return None;
        }
        // SAFETY: the caller rules out concurrent owners.
        let body = unsafe { span.inspect() }?;
        let index = body.slot_index(address)?;
        body.is_allocated(index).then(|| (body.slot(index), body))
    }

    /// Calls `visit` with every span in use.
    ///
    /// # Safety
    ///
    /// As [`MHeap::find_object`].
    pub(crate) unsafe fn each_span(&self, mut visit: impl FnMut(&Span, &Body)) {
        let records: Vec<NonNull<Span>> = self.pages.lock().spans.all().collect();
        for record in records {
            // SAFETY: Y3.
            let span = unsafe { record.as_ref() };
            if span.state() == SpanState::InUse {
                // SAFETY: forwarded to the caller.
                if let Some(body) = unsafe { span.inspect() } {
                    visit(span, &body);
                }
            }
        }
    }

    /// The objects of the heap by kind and size class, the most bytes first.
    ///
    /// # Safety
    ///
    /// As [`MHeap::find_object`]. If caches are not flushed, the slots of their bump
    /// regions count as objects.
    #[must_use]
    pub unsafe fn class_histogram(&self) -> Vec<HistogramRow> {
        let mut rows = BTreeMap::<(usize, usize), HistogramRow>::new();
        // SAFETY: forwarded to the caller.
        unsafe {
            self.each_span(|_, body| {
                let key = (body.kind.address(), body.class.index());
                let row = rows.entry(key).or_insert_with(|| HistogramRow {
                    kind: body.kind.name(),
                    class: body.class,
                    spans: 0,
                    pages: 0,
                    slots: 0,
                    objects: 0,
                    bytes: 0,
                });
                row.spans += 1;
                row.pages += body.npages;
                row.slots += body.nelems;
                row.objects += body.allocated;
                row.bytes += body.allocated * body.slot_bytes;
            });
        }
        let mut rows: Vec<HistogramRow> = rows.into_values().collect();
        rows.sort_by_key(|row| core::cmp::Reverse(row.bytes));
        rows
    }

    /// The memory of the heap by use. Consistent, and holds the page lock only while it reads
    /// a few numbers.
    #[must_use]
    pub fn memory(&self) -> MemoryStats {
        let bitmaps = self.bits.bytes();
        let pages = self.pages.lock();
        self.memory_of(&pages, bitmaps)
    }

    /// Whether a sweep since the last marking had no memory for a bitmap: then some
    /// of what is allocated is known to be dead.
    #[must_use]
    pub fn retains_dead(&self) -> bool {
        self.bits.bitmap_alloc_failed()
    }

    pub(super) fn memory_of(&self, pages: &Pages, bitmaps: usize) -> MemoryStats {
        MemoryStats {
            mapped: pages.regions.bytes(),
            // Changes under the page lock only.
            in_use: self.stats.in_use_bytes.load(Ordering::Relaxed),
            stacks: self.stats.stack_bytes.load(Ordering::Relaxed),
            idle: pages.idle_pages() * PAGE_SIZE,
            released: pages.released_pages() * PAGE_SIZE,
            heads: pages.regions.len() * HEADER_PAGES * PAGE_SIZE,
            records: pages.spans.bytes(),
            bitmaps,
            regions: pages.regions.len(),
        }
    }
}
