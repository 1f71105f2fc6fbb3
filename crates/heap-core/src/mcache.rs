//! [`Cache`]: one mutator's current spans, and the allocation fast path. (Go:
//! `mcache.go`.)
//!
//! For each kind and size class in use there is an *entry* with the span that
//! allocations come from. The run of free slots being used is a bump *window*,
//! kept in a small direct-mapped table: the key of a window is the address of
//! the kind plus the size class, which for a fixed type is a constant. Two keys
//! that fall on the same place take turns (the loser's window is parked in its
//! entry).
//!
//! Owner: one mutator; never locked. The collector touches it only while the
//! owner is at a safepoint.
//!
//! * C1: every entry's span is `Cached`; `flush` gives all of them back, and runs
//!   for every mutator before the clock advances.
//! * C2: slots of a window from `cursor` to `end` are free and known to nobody
//!   else.

use core::ptr::NonNull;

use rustc_hash::FxHashMap;

use crate::kind::ObjectKind;
use crate::mcentral::Central;
use crate::mheap::MHeap;
use crate::mspan::CachedSpan;
use crate::size_class::SizeClass;
use crate::stats::{SweepBy, Tally};

/// Places in the window table.
const WINDOWS: usize = 256;

/// The run of free slots that allocations of one key come from.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Window {
    /// Kind address plus size class; 0 for an empty place.
    key: usize,
    /// Next free slot.
    cursor: *mut u8,
    /// One past the last free slot of the run.
    end: *mut u8,
    /// Index of the entry.
    entry: usize,
}

const NO_WINDOW: Window =
    Window { key: 0, cursor: core::ptr::null_mut(), end: core::ptr::null_mut(), entry: 0 };

#[derive(Debug)]
struct Entry {
    key: usize,
    central: NonNull<Central>,
    span: Option<CachedSpan>,
    /// Where the current run began, to count what was handed out.
    run_start: *mut u8,
    /// The window while it is not in the table.
    parked: Window,
}

/// A mutator's windows and spans.
#[derive(Debug)]
pub struct Cache {
    /// In place, not boxed: the fast path starts here.
    windows: [Window; WINDOWS],
    entries: Vec<Entry>,
    by_key: FxHashMap<usize, usize>,
    /// What this mutator has counted since the last flush.
    tally: Tally,
}

// SAFETY: the cache owns its spans; the pointers name memory of the heap.
unsafe impl Send for Cache {}

/// What a refill needs next.
#[derive(Debug)]
pub enum Refill<'h> {
    /// A slot.
    Slot(NonNull<u8>),
    /// A span from this central list; hand it to [`Cache::install`].
    NeedSpan(&'h Central),
}

#[inline(always)]
const fn place(key: usize) -> usize {
    // The kind's address without its alignment, plus the class: kinds of one
    // crate lie next to each other and so do not collide; the classes of one
    // kind spread likewise.
    ((key >> 7).wrapping_add(key & 127)) & (WINDOWS - 1)
}

impl Default for Cache {
    fn default() -> Self {
        Cache {
            windows: [NO_WINDOW; WINDOWS],
            entries: Vec::new(),
            by_key: FxHashMap::default(),
            tally: Tally::default(),
        }
    }
}

impl Cache {
    /// A slot for an object of this kind and class, if the window has one.
    #[inline(always)]
    pub fn alloc(&mut self, kind: &'static ObjectKind, class: SizeClass) -> Option<NonNull<u8>> {
        let key = kind.address() + class.index();
        let window = &mut self.windows[place(key)];
        let slot = window.cursor;
        if window.key == key && slot < window.end {
            window.cursor = slot.wrapping_add(class.object_size());
            // SAFETY: a window's cursor below its end is within the heap.
            Some(unsafe { NonNull::new_unchecked(slot) })
        } else {
            None
        }
    }

    /// The slow half of [`Cache::alloc`]: the next run of the span, or word that
    /// a span is needed.
    pub fn refill<'h>(
        &mut self,
        heap: &'h MHeap,
        kind: &'static ObjectKind,
        class: SizeClass,
    ) -> Refill<'h> {
        let key = kind.address() + class.index();
        let index = self.entry(heap, key, kind, class);
        self.bring_in(key, index);
        if let Some(slot) = self.alloc(kind, class) {
            return Refill::Slot(slot);
        }
        self.retire_run(index);
        let entry = &mut self.entries[index];
        if let Some(span) = &mut entry.span
            && let Some((first, end)) = span.next_run()
        {
            let start = span.body().slot(first).as_ptr();
            let window = &mut self.windows[place(key)];
            window.cursor = start;
            window.end = start.wrapping_add((end - first) * span.body().slot_bytes);
            entry.run_start = start;
            return match self.alloc(kind, class) {
                Some(slot) => Refill::Slot(slot),
                None => unreachable!("a run has at least one slot"),
            };
        }
        if let Some(full) = entry.span.take() {
            heap.release_span(full);
        }
        // SAFETY: Y3: central lists live as long as the heap.
        Refill::NeedSpan(unsafe { entry.central.as_ref() })
    }

    /// Makes `span` the one that its kind and class allocate from.
    pub fn install(&mut self, kind: &'static ObjectKind, class: SizeClass, span: CachedSpan) {
        let index = self.by_key[&(kind.address() + class.index())];
        debug_assert!(self.entries[index].span.is_none(), "C1: one span per entry");
        self.entries[index].span = Some(span);
    }

    fn entry(
        &mut self,
        heap: &MHeap,
        key: usize,
        kind: &'static ObjectKind,
        class: SizeClass,
    ) -> usize {
        if let Some(index) = self.by_key.get(&key) {
            return *index;
        }
        let index = self.entries.len();
        self.entries.push(Entry {
            key,
            central: NonNull::from(heap.central(kind, class)),
            span: None,
            run_start: core::ptr::null_mut(),
            parked: Window { key, entry: index, ..NO_WINDOW },
        });
        self.by_key.insert(key, index);
        index
    }

    /// Puts the window of `key` into its place, parking whoever is there.
    fn bring_in(&mut self, key: usize, index: usize) {
        let window = &mut self.windows[place(key)];
        if window.key != key {
            if window.key != 0 {
                self.entries[window.entry].parked = *window;
            }
            *window = self.entries[index].parked;
        }
    }

    /// Counts what the current run handed out and gives the rest back to the
    /// span. The window is left empty.
    fn retire_run(&mut self, index: usize) {
        let entry = &mut self.entries[index];
        let window = &mut self.windows[place(entry.key)];
        let window = if window.key == entry.key { window } else { &mut entry.parked };
        let (cursor, end) = (window.cursor, window.end);
        window.cursor = core::ptr::null_mut();
        window.end = core::ptr::null_mut();
        let Some(span) = &mut entry.span else { return };
        if cursor.is_null() {
            return;
        }
        let bytes = cursor.addr() - entry.run_start.addr();
        self.tally.allocated_bytes += bytes as u64;
        self.tally.allocated_objects += (bytes / span.body().slot_bytes) as u64;
        if cursor < end {
            let first = (cursor.addr() - span.body().base.addr().get()) / span.body().slot_bytes;
            span.return_run(first);
        }
    }

    /// Bytes of slots in windows that have not been handed out: an
    /// over-estimate of the live heap that `flush` takes back.
    pub fn flush(&mut self, heap: &MHeap) -> usize {
        let mut unused_bytes = 0;
        for index in 0..self.entries.len() {
            self.retire_run(index);
            if let Some(span) = self.entries[index].span.take() {
                unused_bytes += span.free_slots() * span.body().slot_bytes;
                heap.release_span(span);
            }
        }
        heap.stats.add(&mut self.tally, SweepBy::Allocation);
        unused_bytes
    }

    /// Counts what the owner has swept on behalf of its allocations.
    pub fn count(&mut self, swept: &Tally) {
        self.tally += *swept;
    }
}
