//! [`MHeap`]: arenas, pages, spans, central lists and the sweep clock of one
//! heap. (Go: `mheap.go`, and the parts of `mcentral.go` that reach upwards.)
//!
//! Mechanism only: it hands out spans, sweeps spans, and refuses when there is no memory.
//! The layers above decide when to sweep and when to collect.
//!
//! The page lock guards `Pages` (module `pages`), in it `regions`, the reservations by
//! address. `scavenge` gives memory back; `stacks` has the manual spans; `special` has the
//! specials of objects; `allocate_black` marks objects that are allocated during an
//! incremental mark phase. `inspect` reads the heap with the world stopped, `usage` while
//! mutators run, `check` for the verifier.
//!
//! * Y1: the clock changes, and the bitmaps rotate, only with the world stopped
//!   and sweeping over.
//! * Y2: `in_use_bytes` never exceeds the limit.
//! * Y3: span records and central lists live as long as the heap.
//! * Y4: the free slots of a span whose `needs_zero` is false read as zero.

mod allocate_black;
mod check;
mod inspect;
mod pages;
mod regions;
mod scavenge;
mod special;
mod stacks;
#[cfg(all(test, not(heap_loom), not(heap_asan)))]
mod tests;
mod usage;

pub use inspect::{HistogramRow, MemoryStats};
pub(crate) use stacks::{BlockDesc, RawBlock, StackPool};
pub use stacks::{ORDERS, Order};
pub use usage::{ClassRow, HeapUsage};

use core::ptr::NonNull;
use std::time::Instant;

use arrayvec::ArrayVec;
use crossbeam_utils::CachePadded;
use heap_sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use heap_sync::lock::{Arc, Mutex, RwLock};
use rustc_hash::FxHashMap;

use crate::asan;
use crate::error::OutOfMemory;
use crate::fixalloc::try_box;
use crate::gcbits::{Bitmap, PartitionBits};
use crate::geometry::{ARENA_SIZE, PAGE_SIZE, pages_for};
use crate::kind::ObjectKind;
use crate::location::Location;
use crate::marks::Isa;
use crate::mcentral::Central;
use crate::mspan::{Body, CachedSpan, Span, SweepClaim};
use crate::os::{Os, Reservation};
use crate::partition::{PARTITIONS_MAX, Partition, Partitioning};
use crate::size_class::SizeClass;
use crate::span_set::SpanSet;
use crate::specials::Special;
use crate::stats::{CoreStats, SWEEP_SAMPLE, SweepBy, Tally};
use crate::sweep::{self, SweepCounts};
use crate::sweep_gen::SweepGen;
use crate::ticket::{ActiveSweep, Ticket};
use allocate_black::AllocateBlack;
use pages::{Pages, Run};

/// The number of spans in which one refill may find no free slot before it takes fresh
/// pages. Bounds both the work of a refill and the space that is wasted by giving up: at
/// most one fresh span per this many full ones. (Go: `spanBudget`.)
const SWEEP_BUDGET: usize = 100;

/// How often a refill at the limit yields to sweepers that may free pages.
const MAX_YIELDS: usize = 1000;

/// To zero fewer bytes than this costs less than to find out whether it is needed.
const LOOK_BEFORE_ZEROING: usize = 1024;

/// Spans that a mutator takes or returns at a time, at most.
pub const SPAN_BATCH: usize = 64;

/// Spans of one kind and class on their way to or from a mutator.
pub type SpanBatch = ArrayVec<CachedSpan, SPAN_BATCH>;

/// A request of a mutator's cache for spans.
#[derive(Clone, Copy, Debug)]
pub struct SpanRequest<'h> {
    /// The list that the spans belong to.
    pub central: &'h Central,
    /// The partition to search first.
    pub partition: Partition,
    /// The largest number of spans to take.
    pub wanted: usize,
}

/// How the memory layer behaves.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// Limit on the bytes of pages that spans cover.
    pub max_bytes: Option<usize>,
    /// Whether to advise huge pages.
    pub huge_pages: bool,
    /// Whether to overwrite freed slots.
    pub poison: bool,
}

/// The memory of one heap.
#[derive(Debug)]
pub struct MHeap {
    os: Box<dyn Os>,
    config: CoreConfig,
    isa: Isa,
    clock: AtomicU32,
    active: CachePadded<ActiveSweep>,
    bits: PartitionBits,
    pages: CachePadded<Mutex<Pages>>,
    centrals: RwLock<Centrals>,
    stacks: CachePadded<Mutex<StackPool>>,
    /// Where `sweep_one` looks first: the number of a central's shard.
    cursor: CachePadded<AtomicUsize>,
    /// The present [`Partitioning`].
    partitions: AtomicUsize,
    /// Pages swept in this cycle, for the credit formula.
    pages_swept_in_cycle: CachePadded<AtomicUsize>,
    /// Marks objects that are allocated during an incremental mark phase.
    allocate_black: AllocateBlack,
    /// Specials of objects that sweeping has found dead.
    fired: Mutex<Vec<Special>>,
    /// Bytes that the heap may retain after the last collection; `usize::MAX`
    /// before the first.
    retain_goal: AtomicUsize,
    /// Counters.
    pub stats: CoreStats,
}

#[derive(Debug, Default)]
struct Centrals {
    by_key: FxHashMap<(usize, usize), NonNull<Central>>,
    /// Append-only; boxed so that addresses are stable (Y3).
    all: Vec<NonNull<Central>>,
}

// SAFETY: centrals are `Sync` and owned by the heap.
unsafe impl Send for Centrals {}
// SAFETY: as above.
unsafe impl Sync for Centrals {}

impl MHeap {
    /// An empty heap. Reserves nothing before the first allocation.
    #[must_use]
    pub fn new(config: CoreConfig, os: Box<dyn Os>) -> MHeap {
        MHeap {
            os,
            config,
            isa: Isa::detect(),
            clock: AtomicU32::new(0),
            active: CachePadded::new(ActiveSweep::closed()),
            bits: PartitionBits::default(),
            pages: CachePadded::new(Mutex::new(Pages::default())),
            centrals: RwLock::new(Centrals::default()),
            stacks: CachePadded::default(),
            cursor: CachePadded::new(AtomicUsize::new(0)),
            partitions: AtomicUsize::new(Partitioning::for_mutators(1).to_raw()),
            pages_swept_in_cycle: CachePadded::new(AtomicUsize::new(0)),
            allocate_black: AllocateBlack::default(),
            fired: Mutex::new(Vec::new()),
            retain_goal: AtomicUsize::new(usize::MAX),
            stats: CoreStats::default(),
        }
    }

    /// The vector instructions that this heap uses.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The limit on the bytes of pages that spans cover.
    #[must_use]
    pub fn max_bytes(&self) -> Option<usize> {
        self.config.max_bytes
    }

    /// The sweep clock.
    #[inline]
    #[must_use]
    pub fn now(&self) -> SweepGen {
        // ORDERING: Relaxed: it changes only with the world stopped (Y1), and
        // leaving a safepoint synchronises with the collector.
        SweepGen::from_raw(self.clock.load(Ordering::Relaxed))
    }

    /// The division of the heap among its mutators.
    #[must_use]
    pub fn partitions(&self) -> Partitioning {
        // ORDERING: Relaxed: a hint; any division is correct.
        Partitioning::from_raw(self.partitions.load(Ordering::Relaxed))
    }

    /// Divides the heap among `mutators` mutators from now on.
    pub fn set_partitions(&self, mutators: usize) {
        // ORDERING: as `partitions`.
        self.partitions.store(Partitioning::for_mutators(mutators).to_raw(), Ordering::Relaxed);
    }

    // ---- central lists ---------------------------------------------------

    /// The central list of a kind and class; made on first use. `None` if there is no
    /// memory for it.
    pub fn central(&self, kind: &'static ObjectKind, class: SizeClass) -> Option<&Central> {
        let key = (kind.address(), class.index());
        let read = self.centrals.read();
        if let Some(central) = read.by_key.get(&key) {
            // SAFETY: Y3.
            return Some(unsafe { central.as_ref() });
        }
        drop(read);
        let mut write = self.centrals.write();
        let write = &mut *write;
        write.all.try_reserve(1).ok()?;
        write.by_key.try_reserve(1).ok()?;
        let central = match write.by_key.get(&key) {
            // Another thread has made it in between.
            Some(central) => *central,
            None => {
                let central = NonNull::from(Box::leak(try_box(Central::new(kind, class))?));
                write.all.push(central);
                write.by_key.insert(key, central);
                central
            }
        };
        // SAFETY: Y3.
        Some(unsafe { central.as_ref() })
    }

    fn central_at(&self, index: usize) -> Option<&Central> {
        let read = self.centrals.read();
        // SAFETY: Y3.
        read.all.get(index).map(|central| unsafe { central.as_ref() })
    }

    /// All central lists, including those that are made during the iteration.
    fn centrals(&self) -> impl Iterator<Item = &Central> {
        (0..).map_while(|index| self.central_at(index))
    }

    // ---- spans for mutators ----------------------------------------------

    /// Puts spans with free slots for the caller's cache into `spans`, which is empty: at
    /// least one and at most as many as wanted. In this order: swept ones, ones in which
    /// sweeping finds free slots, or one of fresh pages. The caller pays the sweep credit
    /// that it owes for them before it uses them.
    ///
    /// Several at once cost little more than one, in instructions that other
    /// threads must wait for. Fresh ones come singly: memory is taken when it is
    /// needed.
    ///
    /// # Errors
    ///
    /// When the limit or the system refuses fresh pages; `spans` stays empty.
    ///
    /// # Safety
    ///
    /// The request was made with this heap, and a cache takes the spans with
    /// [`Cache::install`](crate::mcache::Cache::install) before the clock advances and
    /// before the heap ends.
    pub unsafe fn acquire_spans(
        &self,
        request: SpanRequest<'_>,
        spans: &mut SpanBatch,
        tally: &mut Tally,
    ) -> Result<(), OutOfMemory> {
        debug_assert!(spans.is_empty(), "there is room for a batch");
        let SpanRequest { central, partition, wanted } = request;
        let partition = self.partitions().nearest(partition);
        let request = SpanRequest { central, partition, wanted: wanted.clamp(1, SPAN_BATCH) };
        let now = self.now();
        Self::take_swept(request, now, spans);
        if !spans.is_empty() {
            return Ok(());
        }
        if let Some(ticket) = self.active.begin() {
            self.sweep_for_room(&ticket, request, now, spans, tally);
            if !spans.is_empty() {
                return Ok(());
            }
        }
        match self.fresh_span(central, central.class().span_pages(), partition) {
            Ok(span) => spans.push(span),
            Err(refusal) => {
                // Sweeping everything for its pages may have found room in a span of
                // this very list.
                Self::take_swept(SpanRequest { central, partition, wanted: 1 }, now, spans);
                if spans.is_empty() {
                    return Err(refusal);
                }
            }
        }
        Ok(())
    }

    fn take_swept(request: SpanRequest<'_>, now: SweepGen, spans: &mut SpanBatch) {
        let SpanRequest { central, partition, wanted } = request;
        central.partial_swept(now).pop_many(partition, wanted, |span| {
            // SAFETY: just popped from a swept list.
            spans.push(unsafe { CachedSpan::from_swept(span, now) });
        });
    }

    fn sweep_for_room(
        &self,
        ticket: &Ticket<'_>,
        request: SpanRequest<'_>,
        now: SweepGen,
        spans: &mut SpanBatch,
        tally: &mut Tally,
    ) {
        let SpanRequest { central, partition, wanted } = request;
        let mut budget = SWEEP_BUDGET;
        while spans.is_empty() && budget > 0 {
            let mut claims = ArrayVec::<SweepClaim<'_>, SPAN_BATCH>::new();
            // N2: a thread that fails to claim a span leaves it to the claimant, which
            // sweeps it and puts it in a list.
            let mut claim = |span| {
                // SAFETY: the lists hold records of this heap, and a ticket is out: the clock
                // stands.
                claims.extend(unsafe { SweepClaim::try_claim(ticket, span, now) });
            };
            let most = wanted.min(budget);
            let popped = match central.partial_unswept(now).pop_many(partition, most, &mut claim) {
                0 => central.full_unswept(now).pop_many(partition, most, &mut claim),
                some => some,
            };
            if popped == 0 {
                break;
            }
            budget -= popped;
            if claims.is_empty() {
                continue;
            }
            self.count_pages_swept(claims.iter().map(|claim| claim.body().npages).sum());
            let slots = central.class().objects_per_span();
            let mut bitmaps = self.bits.at(partition).alloc_many(slots, claims.len());
            let (mut freed, partitions) = (0, self.partitions());
            for mut claim in claims.drain(..) {
                let counts = self.sweep_claimed(&mut claim, bitmaps.next(), tally);
                freed += counts.freed_objects;
                if counts.live_objects < claim.body().nelems {
                    spans.push(claim.into_cached());
                } else {
                    let partition = claim.body().partition(partitions);
                    central.full_swept(now).at(partition).push(claim.release());
                }
            }
            central.counts().freed(freed, central.class().object_size());
        }
    }

    /// Takes back spans of one kind and class that have no free slots.
    pub(crate) fn release_full_spans(&self, spans: &mut SpanBatch) {
        let Some(first) = spans.first() else { return };
        let (now, partitions) = (self.now(), self.partitions());
        let mut partition = first.body().partition(partitions);
        // SAFETY: Y3.
        let central = unsafe { first.body().central.as_ref() };
        let (mut handed_out, slot_bytes) = (0, first.body().slot_bytes);
        let mut released = ArrayVec::<NonNull<Span>, SPAN_BATCH>::new();
        for mut span in spans.drain(..) {
            debug_assert_eq!(span.free_slots(), 0);
            self.mark_allocated_black(&span);
            debug_assert_eq!(span.body().central, NonNull::from(central));
            handed_out += span.count();
            let next_partition = span.body().partition(partitions);
            if next_partition != partition {
                central.full_swept(now).at(partition).push_many(&released);
                released.clear();
                partition = next_partition;
            }
            released.push(span.uncache(now));
        }
        central.counts().allocated(handed_out, slot_bytes);
        central.full_swept(now).at(partition).push_many(&released);
    }

    /// Takes a span back from a mutator's cache.
    pub(crate) fn release_span(&self, mut span: CachedSpan) {
        let now = self.now();
        self.mark_allocated_black(&span);
        let handed_out = span.count();
        let full = span.free_slots() == 0;
        let partition = span.body().partition(self.partitions());
        // SAFETY: Y3.
        let central = unsafe { span.body().central.as_ref() };
        central.counts().allocated(handed_out, span.body().slot_bytes);
        let list = if full { central.full_swept(now) } else { central.partial_swept(now) };
        list.at(partition).push(span.uncache(now));
    }

    /// Marks the objects that were allocated in a span since it was cached, if an incremental
    /// mark phase is under way (M4).
    #[inline]
    fn mark_allocated_black(&self, span: &CachedSpan) {
        if self.allocate_black.is_on() {
            self.allocate_black.mark(span.body());
        }
    }

    /// A large object of `bytes` bytes: the start of a span of its own.
    ///
    /// # Errors
    ///
    /// When the limit or the system refuses the pages.
    ///
    /// # Safety
    ///
    /// As [`Cache::alloc`](crate::mcache::Cache::alloc), with `bytes` for the slot.
    pub unsafe fn alloc_large(
        &self,
        kind: &'static ObjectKind,
        bytes: usize,
    ) -> Result<NonNull<u8>, OutOfMemory> {
        if bytes > isize::MAX as usize - ARENA_SIZE {
            return Err(OutOfMemory::TooLarge);
        }
        let central = self.central(kind, SizeClass::LARGE).ok_or(OutOfMemory::System)?;
        let span = self.fresh_span(central, pages_for(bytes), Partition::default())?;
        let Body { base: object, slot_bytes, .. } = *span.body();
        asan::unpoison(object.as_ptr(), bytes);
        asan::poison(object.as_ptr().wrapping_add(bytes), slot_bytes - bytes);
        self.release_span(span);
        Ok(object)
    }

    /// Makes a new object read as zero. Memory that was never used is left
    /// untouched: a large object costs what the program then writes to it.
    ///
    /// # Safety
    ///
    /// `slot` was just handed out to the calling mutator, by its cache or by
    /// [`MHeap::alloc_large`], with `bytes` bytes or more; it has not been at a
    /// safepoint since.
    #[inline]
    pub unsafe fn zero(&self, slot: NonNull<u8>, bytes: usize) {
        // SAFETY: forwarded.
        if bytes >= LOOK_BEFORE_ZEROING && unsafe { Self::reads_as_zero(slot) } {
            return;
        }
        // SAFETY: the slot is the caller's.
        unsafe { slot.write_bytes(0, bytes) };
    }

    /// Whether the memory of a new object was never used, and so reads as zero.
    ///
    /// # Safety
    ///
    /// As [`MHeap::zero`].
    unsafe fn reads_as_zero(slot: NonNull<u8>) -> bool {
        // SAFETY: a slot of this heap.
        let span = unsafe { Location::of(slot) }.span();
        // SAFETY: Y3; the span is in the caller's cache, or is the caller's large
        // object: it is not swept before the caller's next safepoint.
        let body = span.and_then(|span| unsafe { span.as_ref().inspect() });
        body.is_some_and(|body| !body.needs_zero)
    }

    /// A span of fresh pages. The slot of a large object counts as allocated from the
    /// start.
    fn fresh_span(
        &self,
        central: &Central,
        npages: usize,
        partition: Partition,
    ) -> Result<CachedSpan, OutOfMemory> {
        let (span, run) = self.take_run(npages, partition, || central.counts().grew(npages))?;
        let Run { base, needs_zero } = run;
        let class = central.class();
        let (nelems, slot_bytes, allocated) = match class {
            SizeClass::LARGE => (1, npages * PAGE_SIZE, 1),
            _ => (class.objects_per_span(), class.object_size(), 0),
        };
        let body = Body {
            base,
            npages,
            class,
            kind: central.kind(),
            central: NonNull::from(central),
            nelems,
            slot_bytes,
            free_index: allocated,
            alloc_bits: None,
            allocated,
            counted: 0,
            cached_at: 0,
            needs_zero,
        };
        // SAFETY: `base` is inside an arena that this heap has mapped.
        let location = unsafe { Location::of(base) };
        // SAFETY: a record fresh from the allocator, and pages that are in no other span.
        let cached = unsafe { CachedSpan::set_up(span, self.now(), body) };
        if allocated == 0 {
            asan::poison(base.as_ptr(), npages * PAGE_SIZE);
        }
        let first = location.page_index();
        location.arena().publish(first, npages, slot_bytes, body.kind, span);
        Ok(cached)
    }

    /// A span record and fresh pages for it, charged against the limit (Y2), at `partition` if
    /// there are some near; calls `count` under the page lock. Refuses only when everything
    /// is swept.
    fn take_run(
        &self,
        npages: usize,
        partition: Partition,
        count: impl Fn(),
    ) -> Result<(NonNull<Span>, Run), OutOfMemory> {
        // Read first: pages that other threads free by sweeping after the attempt would be
        // missed.
        let is_swept = self.sweep_is_over();
        self.try_take_run(npages, partition, &count).or_else(|refusal| {
            if is_swept || refusal == OutOfMemory::TooLarge {
                return Err(refusal);
            }
            self.sweep_for_pages();
            self.try_take_run(npages, partition, &count)
        })
    }

    fn try_take_run(
        &self,
        npages: usize,
        partition: Partition,
        count: &impl Fn(),
    ) -> Result<(NonNull<Span>, Run), OutOfMemory> {
        let mut pages = self.pages.lock();
        self.charge(npages)?;
        let taken = pages.spans.alloc(Span::dead).and_then(|record| {
            let from = self.partitions().first_page(partition);
            let run = pages.take(&*self.os, self.config.huge_pages, npages, from);
            if run.is_none() {
                pages.spans.free(record);
            }
            Some((record, run?))
        });
        match taken {
            Some(_) => count(),
            // ORDERING: Relaxed: a count, changed under the page lock only.
            None => _ = self.stats.in_use_bytes.fetch_sub(npages * PAGE_SIZE, Ordering::Relaxed),
        }
        taken.ok_or(OutOfMemory::System)
    }

    /// Sweeps everything, for the pages of spans without live objects.
    #[cold]
    fn sweep_for_pages(&self) {
        self.sweep_rest(SweepBy::Collector);
        // Other threads may be about to free what they are sweeping. The wait is
        // bounded: one of their destructors may be waiting for this thread.
        for _ in 0..MAX_YIELDS {
            if self.sweep_is_over() {
                break;
            }
            std::thread::yield_now();
        }
    }

    /// Charges `npages` against the limit (Y2). The caller has the page lock, under
    /// which all changes are made.
    fn charge(&self, npages: usize) -> Result<(), OutOfMemory> {
        let bytes = npages * PAGE_SIZE;
        // ORDERING: Relaxed: the page lock orders all changes.
        let in_use = self.stats.in_use_bytes.load(Ordering::Relaxed);
        let after = in_use.checked_add(bytes).ok_or(OutOfMemory::TooLarge)?;
        if self.config.max_bytes.is_some_and(|max| after > max) {
            return Err(OutOfMemory::Limit);
        }
        let after = self.stats.in_use_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.stats.in_use_bytes_max.fetch_max(after, Ordering::Relaxed);
        Ok(())
    }

    /// Takes back the pages of a span that holds nothing.
    ///
    /// # Safety
    ///
    /// As [`MHeap::return_pages`], of a span with objects.
    unsafe fn free_pages(&self, record: NonNull<Span>, body: &Body) {
        // SAFETY: Y3.
        let central = unsafe { body.central.as_ref() };
        let count = || central.counts().shrank(body.npages);
        // SAFETY: forwarded from the caller.
        let unmapped = unsafe { self.return_pages(record, body.base, body.npages, count) };
        // Unmapping is slow, so it happens after unlocking.
        drop(unmapped);
    }

    /// Takes the pages of a dead span back; calls `count` under the page lock.
    /// Returns what must be unmapped.
    ///
    /// # Safety
    ///
    /// The record is one of this heap, dead, and in no list; the pages are those that it
    /// covered, and are not in use.
    unsafe fn return_pages(
        &self,
        record: NonNull<Span>,
        base: NonNull<u8>,
        npages: usize,
        count: impl FnOnce(),
    ) -> Option<Arc<Reservation>> {
        // SAFETY: pages of this heap, which are still mapped.
        let location = unsafe { Location::of(base) };
        location.arena().retract(location.page_index(), npages);
        let mut pages = self.pages.lock();
        let unmapped = pages.put(base.addr().get(), npages);
        pages.spans.free(record);
        // ORDERING: Relaxed: a count, changed under the page lock only.
        self.stats.in_use_bytes.fetch_sub(npages * PAGE_SIZE, Ordering::Relaxed);
        count();
        unmapped
    }

    // ---- sweeping ----------------------------------------------------------

    /// Called before sweeping: the credit formula counts the pages that sweepers look at.
    fn count_pages_swept(&self, npages: usize) {
        self.pages_swept_in_cycle.fetch_add(npages, Ordering::Relaxed);
    }

    fn sweep_claimed(
        &self,
        claim: &mut SweepClaim<'_>,
        bitmap: Option<Bitmap>,
        tally: &mut Tally,
    ) -> SweepCounts {
        let npages = claim.body().npages;
        let start = Location::of_span(claim.body())
            .page_index()
            .is_multiple_of(SWEEP_SAMPLE)
            .then(Instant::now);
        if claim.specials().any() {
            self.fire_specials(claim);
        }
        let counts = sweep::sweep(claim, bitmap, self.isa, self.config.poison);
        if let Some(start) = start {
            let ns = start.elapsed().as_nanos() as u64;
            tally.sampled_sweep_ns += ns;
            tally.sampled_spans += 1;
            tally.sampled_sweep_ns_max = tally.sampled_sweep_ns_max.max(ns);
        }
        tally.spans_swept += 1;
        tally.pages_swept += npages as u64;
        tally.drop_panics += counts.drop_panics as u64;
        let body = claim.body_mut();
        body.needs_zero |= counts.freed_objects > 0;
        // The caller counts the freed ones (Z3).
        body.counted = body.allocated;
        counts
    }

    /// Sweeps the next span of the heap, and puts it in a list or frees its pages. Returns
    /// the number of its pages, or `None` when nothing is left to sweep.
    pub fn sweep_one(&self, tally: &mut Tally) -> Option<usize> {
        let ticket = self.active.begin()?;
        let now = self.now();
        loop {
            let index = self.cursor.load(Ordering::Relaxed);
            let Some(central) = self.central_at(index / PARTITIONS_MAX) else {
                ticket.close();
                return None;
            };
            let partition = Partition::of_mutator(index % PARTITIONS_MAX);
            let full = central.full_unswept(now).at(partition);
            let popped = full.pop().or_else(|| central.partial_unswept(now).at(partition).pop());
            let Some(span) = popped else {
                // ORDERING: Relaxed: a hint; only ever moves on.
                let _ = self.cursor.compare_exchange(
                    index,
                    index + 1,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
                continue;
            };
            // SAFETY: the lists hold records of this heap, and a ticket is out: the clock stands.
            if let Some(claim) = unsafe { SweepClaim::try_claim(&ticket, span, now) } {
                return Some(self.sweep_and_settle(claim, central, now, tally));
            }
        }
    }

    fn sweep_and_settle(
        &self,
        mut claim: SweepClaim<'_>,
        central: &Central,
        now: SweepGen,
        tally: &mut Tally,
    ) -> usize {
        let Body { npages, nelems, .. } = *claim.body();
        let partition = claim.body().partition(self.partitions());
        self.count_pages_swept(npages);
        let bitmap = self.bits.at(partition).alloc(nelems);
        let counts = self.sweep_claimed(&mut claim, bitmap, tally);
        central.counts().freed(counts.freed_objects, claim.body().slot_bytes);
        if counts.live_objects == 0 {
            let (record, body) = claim.kill();
            // SAFETY: the claim has marked the record as dead, and returned what it covered.
            unsafe { self.free_pages(record, &body) };
        } else if counts.live_objects < claim.body().nelems {
            central.partial_swept(now).at(partition).push(claim.release());
        } else {
            central.full_swept(now).at(partition).push(claim.release());
        }
        npages
    }

    /// Sweeps every span that no other thread has begun to sweep, and counts them.
    pub fn sweep_rest(&self, by: SweepBy) {
        let mut tally = Tally::default();
        while self.sweep_one(&mut tally).is_some() {}
        self.stats.add(&mut tally, by);
    }

    /// A ticket for a sweeper that sweeps several spans and then accounts for them:
    /// sweeping is not over before the ticket is returned.
    pub fn sweep_ticket(&self) -> Option<Ticket<'_>> {
        self.active.begin()
    }

    /// Whether every span has been swept in this cycle.
    #[must_use]
    pub fn sweep_is_over(&self) -> bool {
        self.active.is_over()
    }

    /// Pages swept since the clock last advanced.
    #[must_use]
    pub fn pages_swept_in_cycle(&self) -> usize {
        self.pages_swept_in_cycle.load(Ordering::Relaxed)
    }

    /// Pages that spans cover.
    #[must_use]
    pub fn pages_in_use(&self) -> usize {
        self.stats.in_use_bytes.load(Ordering::Relaxed) / PAGE_SIZE
    }

    /// Pages of stacks, which are not swept.
    #[must_use]
    pub fn stack_pages(&self) -> usize {
        self.stats.stack_bytes.load(Ordering::Relaxed) / PAGE_SIZE
    }

    /// Prepares for marking: recycles bitmaps.
    ///
    /// # Panics
    ///
    /// If sweeping is not over.
    ///
    /// # Safety
    ///
    /// The world is stopped: no thread allocates in the heap or takes spans, and all caches
    /// are flushed (Y1).
    pub unsafe fn before_mark(&self) {
        assert!(self.sweep_is_over(), "Y1: a cycle starts only when everything is swept");
        // SAFETY: GB2: sweeping is over, and by the contract no thread begins to sweep.
        unsafe { self.bits.rotate() };
    }

    /// Begins an incremental mark phase, during which mutators run: from now on every new
    /// object is allocated black (M4).
    ///
    /// # Safety
    ///
    /// As [`MHeap::before_mark`]; marking is under way.
    pub unsafe fn begin_allocate_black(&self) {
        self.allocate_black.begin();
    }

    /// Ends an incremental mark phase. Returns how many objects were allocated black, and the
    /// bytes of their slots.
    ///
    /// # Safety
    ///
    /// As [`MHeap::before_mark`]. Everything is marked that is reachable and not new.
    pub unsafe fn end_allocate_black(&self) -> (usize, usize) {
        self.allocate_black.end()
    }

    /// Starts the sweep phase after marking: every span needs sweeping.
    ///
    /// # Safety
    ///
    /// As [`MHeap::before_mark`], which was called for this marking. Everything that is
    /// reachable is marked and traced; what is not is never used again.
    pub unsafe fn start_sweep(&self) {
        debug_assert!(!self.allocate_black.is_on(), "M4: marking is under way");
        self.set_retain_goal();
        let next = self.now().next();
        debug_assert!(self.unswept_lists_are_empty(), "G3: a span would miss two advances");
        // ORDERING: Relaxed: published by leaving the safepoint.
        self.clock.store(next.raw(), Ordering::Relaxed);
        self.cursor.store(0, Ordering::Relaxed);
        self.pages_swept_in_cycle.store(0, Ordering::Relaxed);
        self.active.reopen();
    }

    fn unswept_lists_are_empty(&self) -> bool {
        let now = self.now();
        self.centrals().all(|central| {
            let full = central.full_unswept(now).all();
            full.chain(central.partial_unswept(now).all()).all(SpanSet::is_empty)
        })
    }
}

impl MHeap {
    /// Destroys all objects and gives back the memory that held them. The heap is
    /// left for the owners of stack blocks.
    ///
    /// # Safety
    ///
    /// There is no mutator and no sweeper, and no object is allocated or used any more.
    pub(crate) unsafe fn destroy(&self) {
        // SAFETY: forwarded from the caller.
        for (record, body) in unsafe { self.drop_objects() } {
            // SAFETY: Y3; as above, the central lists are not read any more.
            unsafe { record.as_ref().discard() };
            // SAFETY: it is dead now, and covered these pages.
            unsafe { self.free_pages(record, &body) };
        }
        self.release_idle();
    }

    /// Runs the destructors of everything that is still in the heap. Returns the spans
    /// that held it.
    ///
    /// # Safety
    ///
    /// As [`MHeap::destroy`]. The objects are not dropped a second time.
    unsafe fn drop_objects(&self) -> Vec<(NonNull<Span>, Body)> {
        let mut spans = Vec::new();
        // SAFETY: forwarded from the caller.
        unsafe { self.each_span(|span, body| spans.push((NonNull::from(span), *body))) };
        // Unswept spans hold objects that are dead but not yet dropped; their slots count
        // as allocated, so they are dropped here.
        for (_, body) in &spans {
            let Some(drop) = body.kind.drop_in_place else { continue };
            for slot in (0..body.nelems).filter(|i| body.is_allocated(*i)) {
                // SAFETY: an allocated slot holds an initialised object, dropped
                // once: the heap's memory goes away next.
                if unsafe { sweep::drop_object(drop, body.slot(slot)) } {
                    self.stats.drop_panics.add(1);
                }
            }
        }
        spans
    }
}

impl Drop for MHeap {
    fn drop(&mut self) {
        // SAFETY: `&mut self`: there is no other user of the heap, and its memory goes
        // away next. After `destroy` there is nothing left to drop.
        drop(unsafe { self.drop_objects() });
        let centrals = self.centrals.get_mut();
        for central in centrals.all.drain(..) {
            // SAFETY: made by `Box::leak` in `central`, dropped once.
            drop(unsafe { Box::from_raw(central.as_ptr()) });
        }
    }
}
