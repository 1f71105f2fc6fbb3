//! [`Cache`]: one mutator's current spans, and the allocation fast path. (Go:
//! `mcache.go`.)
//!
//! For each kind and size class in use there is an *entry* with the span that
//! allocations come from. The run of free slots being used is a *bump region*,
//! kept in a small direct-mapped table: the key of a bump region is the address of
//! the kind plus the size class, which for a fixed type is a constant. Two keys
//! that fall on the same place take turns (the loser's bump region is parked in its
//! entry).
//!
//! Owner: one mutator; never locked. The collector touches it only while the
//! owner is at a safepoint.
//!
//! Spans are taken and returned in batches. A batch is a quarter of what the entry took
//! since the last flush, or between that flush and the one before (each collection flushes,
//! an incremental one twice). It is [`SPAN_BATCH`] spans of a page at most, fewer if they
//! are longer. So a kind that is rarely allocated has few spare spans.
//! The caller may want fewer.
//!
//! * C1: every span of an entry is `Cached`; `flush` gives all of them back, and
//!   runs for every mutator before the clock advances.
//! * C2: slots of a bump region from `cursor` to the end of its run are free, and no other code has a
//!   pointer to them. The region itself ends there, or before the slot of the run that is to be
//!   sampled next ([`crate::sampling`]). A cursor within a slot (module `tiny`) means that the
//!   slot's bytes below it are in use; the slot counts as handed out.

use core::ptr::NonNull;

use rustc_hash::FxHashMap;

use crate::asan;
use crate::kind::ObjectKind;
use crate::mcentral::Central;
use crate::mheap::{MHeap, SPAN_BATCH, SpanBatch, SpanRequest};
use crate::mspan::CachedSpan;
use crate::partition::Partition;
use crate::sampling::Sampler;
use crate::size_class::SizeClass;
use crate::stats::{SweepBy, Tally};

mod tiny;

/// A batch is this part of the spans that were taken before it.
const TAKEN_PER_BATCH: usize = 4;

/// Places at which the bump regions of a kind begin.
const KIND_PLACES: usize = 256;
/// Places for the classes of a kind, from there on.
const CLASS_PLACES: usize = 128;
/// Places in the bump region table.
const REGIONS: usize = KIND_PLACES + CLASS_PLACES;

// A key is the sum of both, and can be taken apart again.
const _: () = assert!(align_of::<ObjectKind>().is_multiple_of(CLASS_PLACES));

/// The run of free slots that allocations of one key come from, up to the next one that is
/// sampled.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct BumpRegion {
    /// Kind address plus size class; 0 for an empty place.
    key: usize,
    /// Next free slot.
    cursor: *mut u8,
    /// One past the last free slot of the region.
    end: *mut u8,
    /// Index of the entry.
    entry: usize,
}

const NO_REGION: BumpRegion =
    BumpRegion { key: 0, cursor: core::ptr::null_mut(), end: core::ptr::null_mut(), entry: 0 };

/// What [`Cache::hide_regions`] has hidden.
#[derive(Debug)]
pub struct HiddenRegions([BumpRegion; REGIONS]);

#[derive(Debug)]
struct Entry {
    key: usize,
    central: NonNull<Central>,
    /// The span that the bump region is in.
    span: Option<CachedSpan>,
    /// The bump region while it is not in the table.
    parked: BumpRegion,
    /// One past the last free slot of the run that the bump region is in.
    run_end: *mut u8,
}

/// What an entry's next bump region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opened {
    /// It has room.
    Room,
    /// It is empty: the slot at its end is to be sampled.
    Sampled,
}

/// The spans of an entry that allocations do not come from. Kept apart from the entry,
/// which is read for every run.
#[derive(Debug, Default)]
struct SpareSpans {
    /// The entry's last batch, without the span that the bump region is in: first those without
    /// free slots, on their way back, then those to use next.
    batch: SpanBatch,
    /// How many of the batch have no free slots.
    used: usize,
    /// Spans that were taken since the last flush.
    taken: usize,
    /// Spans that were taken between the last flush and the one before.
    taken_before: usize,
}

/// A mutator's bump regions and spans.
#[repr(C)]
#[derive(Debug)]
pub struct Cache {
    /// In place, not boxed, and first: the fast path starts here, and an offset would cost it
    /// an instruction.
    regions: [BumpRegion; REGIONS],
    entries: Vec<Entry>,
    /// For each entry.
    spares: Vec<SpareSpans>,
    by_key: FxHashMap<usize, usize>,
    partition: Partition,
    /// What this mutator has counted since the last flush.
    tally: Tally,
    /// Bytes of the slots that were free in spans when bump regions entered them, since the
    /// last [`Cache::take_opened_bytes`].
    opened_bytes: usize,
    /// Whether a bump region entered another span since the last
    /// [`Cache::newly_opened_bytes`].
    newly_opened: bool,
    /// Chooses what is sampled, if anything is.
    sampler: Option<Sampler>,
}

// SAFETY: the cache owns its spans; the pointers name memory of the heap.
unsafe impl Send for Cache {}

/// What a refill needs next.
#[derive(Debug)]
pub enum Refill<'h> {
    /// A slot.
    Slot(NonNull<u8>),
    /// There is a slot, which is to be sampled: [`Cache::take_sampled`].
    Sampled,
    /// Spans, to be handed to [`Cache::install`].
    NeedSpans(SpanRequest<'h>),
    /// The system has no memory for the heap's own tables.
    NoMemory,
}

#[inline(always)]
const fn table_index(key: usize) -> usize {
    // The place of the kind, from its address without its alignment, plus the class:
    // kinds of one crate lie next to each other and so do not collide; nor do the classes of
    // one kind. Without wrapping, so that the class of a fixed type is part of a constant
    // offset.
    key / CLASS_PLACES % KIND_PLACES + key % CLASS_PLACES
}

fn free_bytes(span: &CachedSpan) -> usize {
    span.free_slots() * span.body().slot_bytes
}

impl Cache {
    /// An empty cache, of a mutator with this partition.
    ///
    /// # Safety
    ///
    /// The cache is used with one heap, which exists as long as the cache is used. The cache
    /// has been flushed (C1) when the heap's clock advances, when its bitmaps rotate, and
    /// when an incremental mark phase begins or ends; and when the heap ends, if the cache
    /// has allocated objects with destructors.
    #[must_use]
    pub unsafe fn at(partition: Partition) -> Cache {
        Cache {
            regions: [NO_REGION; REGIONS],
            entries: Vec::new(),
            spares: Vec::new(),
            by_key: FxHashMap::default(),
            partition,
            tally: Tally::default(),
            opened_bytes: 0,
            newly_opened: false,
            sampler: None,
        }
    }
}

impl Cache {
    /// A slot for an object of this kind and class, if the bump region has one.
    ///
    /// # Safety
    ///
    /// Objects of the kind fit a slot of the class. The caller writes one to the slot before
    /// the heap may look at it: before marking begins or ends, the next sweep or the end of
    /// the heap (K1).
    #[inline(always)]
    pub unsafe fn alloc(
        &mut self,
        kind: &'static ObjectKind,
        class: SizeClass,
    ) -> Option<NonNull<u8>> {
        self.bump(kind, class)
    }

    /// [`Cache::alloc`] for functions that pass on the slot, and the obligation with it.
    #[inline(always)]
    fn bump(&mut self, kind: &'static ObjectKind, class: SizeClass) -> Option<NonNull<u8>> {
        let key = kind.address() + class.index();
        let region = &mut self.regions[table_index(key)];
        let slot = region.cursor;
        if region.key == key && slot < region.end {
            debug_assert!(
                self.entries[region.entry].span.as_ref().is_some_and(|span| {
                    let offset = slot.addr() - span.body().base.addr().get();
                    offset.is_multiple_of(class.object_size())
                }),
                "C2: a slot of which a part is in use"
            );
            region.cursor = slot.wrapping_add(class.object_size());
            asan::unpoison(slot, class.object_size());
            // SAFETY: a bump region's cursor below its end is within the heap.
            Some(unsafe { NonNull::new_unchecked(slot) })
        } else {
            None
        }
    }

    /// The first slow path of [`Cache::alloc`], usually sufficient: the next run of
    /// the span, if the bump region is in its place.
    ///
    /// # Safety
    ///
    /// As [`Cache::alloc`].
    pub unsafe fn next_run(
        &mut self,
        kind: &'static ObjectKind,
        class: SizeClass,
    ) -> Option<NonNull<u8>> {
        let key = kind.address() + class.index();
        let region = self.regions[table_index(key)];
        if region.key != key {
            return None;
        }
        match self.open_run(region.entry)? {
            Opened::Room => self.bump(kind, class),
            Opened::Sampled => None,
        }
    }

    /// Moves the bump region of an entry, which is in its place and used up, to the next
    /// run of the span, unless a slot of this run is to be sampled first.
    #[inline(always)]
    fn open_run(&mut self, index: usize) -> Option<Opened> {
        let entry = &mut self.entries[index];
        let region = &mut self.regions[table_index(entry.key)];
        debug_assert!(region.key == entry.key && region.cursor == region.end, "C2");
        if region.end < entry.run_end {
            return Some(Opened::Sampled);
        }
        let span = entry.span.as_mut()?;
        let (first, end) = span.next_run()?;
        let body = span.body();
        region.cursor = body.slot(first).as_ptr();
        entry.run_end = region.cursor.wrapping_add((end - first) * body.slot_bytes);
        Some(self.open_region(index))
    }

    /// Sets the end of the bump region of an entry, which is in its place: that of the run, or the
    /// start of the next slot that is to be sampled.
    #[inline(always)]
    fn open_region(&mut self, index: usize) -> Opened {
        let entry = &self.entries[index];
        let region = &mut self.regions[table_index(entry.key)];
        region.end = entry.run_end;
        if let Some(sampler) = &mut self.sampler
            && sampler.has_point(entry.run_end.addr() - region.cursor.addr())
        {
            return self.open_sampled_region(index);
        }
        Opened::Room
    }

    /// [`Cache::open_region`] where the run has a slot that is to be sampled.
    #[cold]
    #[inline(never)]
    fn open_sampled_region(&mut self, index: usize) -> Opened {
        let entry = &self.entries[index];
        let region = &mut self.regions[table_index(entry.key)];
        if let (Some(sampler), Some(span)) = (&mut self.sampler, &entry.span) {
            let start = sampler.take_point(span.body().slot_bytes);
            region.end = region.cursor.wrapping_add(start);
        }
        if region.cursor < region.end { Opened::Room } else { Opened::Sampled }
    }

    /// The slot that is to be sampled.
    ///
    /// # Safety
    ///
    /// As [`Cache::alloc`]; and [`Cache::refill`] has answered [`Refill::Sampled`] for this kind and
    /// class, and the cache was not used since.
    pub unsafe fn take_sampled(
        &mut self,
        kind: &'static ObjectKind,
        class: SizeClass,
    ) -> NonNull<u8> {
        let key = kind.address() + class.index();
        let region = &mut self.regions[table_index(key)];
        let index = region.entry;
        assert!(
            region.key == key
                && region.cursor == region.end
                && region.end < self.entries[index].run_end,
            "C2: there is a slot to be sampled"
        );
        region.end = region.end.wrapping_add(class.object_size());
        let slot = self.bump(kind, class).expect("the region has room for one");
        self.open_region(index);
        slot
    }

    /// Chooses objects to be sampled from now on; what is open is not counted.
    pub fn sample(&mut self, sampler: Sampler) {
        self.sampler = Some(sampler);
    }

    /// Whether an object with a span of its own, which takes `bytes` with all its pages, is to be
    /// sampled.
    #[must_use]
    pub fn samples_large(&self, bytes: usize) -> bool {
        self.sampler.as_ref().is_some_and(|sampler| sampler.is_sampled(bytes))
    }

    /// Counts an object that was allocated with a span of its own.
    pub fn count_large(&mut self, bytes: usize) {
        if let Some(sampler) = &mut self.sampler {
            sampler.count_object(bytes);
        }
    }

    /// Hides the bump regions, so that every allocation comes to a slow path until
    /// [`Cache::show_regions`] gets them back. No slow path may be taken until then.
    #[must_use]
    pub fn hide_regions(&mut self) -> HiddenRegions {
        HiddenRegions(core::mem::replace(&mut self.regions, [NO_REGION; REGIONS]))
    }

    /// Undoes [`Cache::hide_regions`].
    ///
    /// # Safety
    ///
    /// They were hidden in this cache, which was not used since.
    pub unsafe fn show_regions(&mut self, hidden: HiddenRegions) {
        self.regions = hidden.0;
    }

    /// The second slow path: loads a bump region that was not in its place, opens the next
    /// run, or requests spans.
    ///
    /// # Safety
    ///
    /// As [`Cache::alloc`].
    pub unsafe fn refill<'h>(
        &mut self,
        heap: &'h MHeap,
        kind: &'static ObjectKind,
        class: SizeClass,
    ) -> Refill<'h> {
        let key = kind.address() + class.index();
        let Some(index) = self.entry(heap, key, kind, class) else { return Refill::NoMemory };
        self.load_region(key, index);
        loop {
            if let Some(slot) = self.bump(kind, class) {
                return Refill::Slot(slot);
            }
            match self.open_run(index) {
                Some(Opened::Room) => continue,
                Some(Opened::Sampled) => return Refill::Sampled,
                None => {}
            }
            let (entry, stock) = (&mut self.entries[index], &mut self.spares[index]);
            let Some(span) = &mut entry.span else { break };
            let Some(next) = stock.batch.get_mut(stock.used) else {
                // There is room: it was a part of this batch.
                stock.batch.extend(entry.span.take());
                break;
            };
            core::mem::swap(span, next);
            stock.used += 1;
            self.count_opened(index);
        }
        let stock = &mut self.spares[index];
        heap.release_full_spans(&mut stock.batch);
        stock.used = 0;
        // Long spans come in smaller batches, or one by one.
        let most = (SPAN_BATCH / class.span_pages()).max(1);
        let wanted = (stock.taken.max(stock.taken_before) / TAKEN_PER_BATCH).clamp(1, most);
        // SAFETY: Y3: central lists live as long as the heap.
        let central = unsafe { self.entries[index].central.as_ref() };
        Refill::NeedSpans(SpanRequest { central, partition: self.partition, wanted })
    }

    /// Makes `spans` the ones that their kind and class allocate from, in order, and leaves
    /// the batch empty.
    ///
    /// # Safety
    ///
    /// [`MHeap::acquire_spans`] returned them for a request that this cache has made for this
    /// kind and class, and the heap's clock has not advanced since.
    pub unsafe fn install(
        &mut self,
        kind: &'static ObjectKind,
        class: SizeClass,
        spans: &mut SpanBatch,
    ) {
        let index = self.by_key[&(kind.address() + class.index())];
        let (entry, stock) = (&mut self.entries[index], &mut self.spares[index]);
        debug_assert!(entry.span.is_none() && stock.batch.is_empty(), "all spans were used");
        stock.taken += spans.len();
        let mut spans = spans.drain(..);
        entry.span = spans.next();
        stock.batch.extend(spans);
        self.count_opened(index);
    }

    /// Bytes of the spans that allocations have begun to use since the last
    /// [`Cache::take_opened_bytes`], if another one was begun since the last call.
    /// Spare spans do not count.
    #[inline]
    pub fn newly_opened_bytes(&mut self) -> Option<usize> {
        core::mem::take(&mut self.newly_opened).then_some(self.opened_bytes)
    }

    /// The bytes of the spans that allocations have begun to use since the last call.
    pub fn take_opened_bytes(&mut self) -> usize {
        core::mem::take(&mut self.opened_bytes)
    }

    /// How far the slots that have been handed out are ahead of what was counted by
    /// [`Cache::take_opened_bytes`], in bytes: negative where spans that were counted have free slots. The
    /// bump regions are not hidden.
    #[must_use]
    pub fn uncounted_bytes(&self) -> isize {
        let unused = self.entries.iter().map(|entry| {
            let region = &self.regions[table_index(entry.key)];
            let region = if region.key == entry.key { region } else { &entry.parked };
            let Some(span) = &entry.span else { return 0 };
            // A slot that was begun is handed out as a whole (TN3).
            let slot_bytes = span.body().slot_bytes;
            let rest = entry.run_end.addr().saturating_sub(region.cursor.addr());
            let rest = if region.cursor.is_null() { 0 } else { rest / slot_bytes * slot_bytes };
            rest + free_bytes(span)
        });
        self.opened_bytes as isize - unused.sum::<usize>() as isize
    }

    /// Counts the span that allocations come from next.
    fn count_opened(&mut self, index: usize) {
        self.opened_bytes += self.entries[index].span.as_ref().map_or(0, free_bytes);
        self.newly_opened = true;
    }

    fn entry(
        &mut self,
        heap: &MHeap,
        key: usize,
        kind: &'static ObjectKind,
        class: SizeClass,
    ) -> Option<usize> {
        if let Some(index) = self.by_key.get(&key) {
            return Some(*index);
        }
        self.entries.try_reserve(1).ok()?;
        self.spares.try_reserve(1).ok()?;
        self.by_key.try_reserve(1).ok()?;
        let index = self.entries.len();
        self.entries.push(Entry {
            key,
            central: NonNull::from(heap.central(kind, class)?),
            span: None,
            parked: BumpRegion { key, entry: index, ..NO_REGION },
            run_end: core::ptr::null_mut(),
        });
        self.spares.push(SpareSpans::default());
        self.by_key.insert(key, index);
        Some(index)
    }

    /// Puts the bump region of `key` into its place, parking the one that is there.
    fn load_region(&mut self, key: usize, index: usize) {
        let region = &mut self.regions[table_index(key)];
        if region.key != key {
            if region.key != 0 {
                self.entries[region.entry].parked = *region;
            }
            *region = self.entries[index].parked;
        }
    }

    /// Gives what is left of the current run back to the span. The bump region is left
    /// empty.
    fn retire_run(&mut self, index: usize) {
        let entry = &mut self.entries[index];
        let region = &mut self.regions[table_index(entry.key)];
        let region = if region.key == entry.key { region } else { &mut entry.parked };
        let cursor = region.cursor;
        let end = core::mem::replace(&mut entry.run_end, core::ptr::null_mut());
        region.cursor = core::ptr::null_mut();
        region.end = core::ptr::null_mut();
        let Some(span) = &mut entry.span else { return };
        if cursor.is_null() {
            return;
        }
        if cursor < end {
            let base = span.body().base.addr().get();
            // A slot that was begun is handed out as a whole (TN3).
            let first = (cursor.addr() - base).div_ceil(span.body().slot_bytes);
            span.return_run(first);
        }
    }

    /// Gives every span back. Returns the bytes of slots that were counted as opened and not
    /// handed out.
    pub fn flush(&mut self, heap: &MHeap) -> usize {
        let mut unused_bytes = 0;
        for index in 0..self.entries.len() {
            self.retire_run(index);
            let (entry, stock) = (&mut self.entries[index], &mut self.spares[index]);
            unused_bytes += entry.span.as_ref().map_or(0, free_bytes);
            for span in entry.span.take().into_iter().chain(stock.batch.drain(stock.used..)) {
                heap.release_span(span);
            }
            heap.release_full_spans(&mut stock.batch);
            stock.used = 0;
            stock.taken_before = core::mem::take(&mut stock.taken);
        }
        heap.stats.add(&mut self.tally, SweepBy::Allocation);
        unused_bytes
    }

    /// Whether any span was taken since the last flush, or between that and the one before.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.spares.iter().any(|stock| stock.taken > 0 || stock.taken_before > 0)
    }

    /// How many pairs of a kind and a class it knows, each of which costs a flush some time.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// The owner's partition.
    #[must_use]
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// Moves the owner to another partition.
    pub fn move_to(&mut self, partition: Partition) {
        self.partition = partition;
    }

    /// Counts what the owner has swept on behalf of its allocations.
    pub fn count(&mut self, swept: &Tally) {
        self.tally += *swept;
    }
}
