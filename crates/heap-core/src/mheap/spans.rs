//! Spans for mutators: what a cache asks for, and what it gives back.
//!
//! * Y4: the free slots of a span whose `needs_zero` is false read as zero.

use core::ptr::NonNull;

use arrayvec::ArrayVec;

use super::{Fill, MHeap};
use crate::asan;
use crate::error::OutOfMemory;
use crate::geometry::{ARENA_SIZE, pages_for};
use crate::kind::{NOSCAN_SPARSE, ObjectKind};
use crate::location::Location;
use crate::mcentral::Central;
use crate::mspan::{Body, CachedSpan, Span, SweepClaim};
use crate::partition::Partition;
use crate::size_class::SizeClass;
use crate::stats::Tally;
use crate::sweep_gen::SweepGen;
use crate::ticket::Ticket;

/// The number of spans in which one refill may find no free slot before it takes fresh
/// pages. Bounds both the work of a refill and the space that is wasted by giving up: at
/// most one fresh span per this many full ones. (Go: `spanBudget`.)
const SWEEP_BUDGET: usize = 100;

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

impl MHeap {
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
        if !central.kind().drops()
            && let Some(ticket) = self.active.begin()
        {
            // DT1.
            self.sweep_for_room(&ticket, request, now, spans, tally);
            if !spans.is_empty() {
                return Ok(());
            }
        }
        let is_sparse = core::ptr::eq(central.kind(), &raw const NOSCAN_SPARSE);
        let fill = if is_sparse { Fill::Sparse } else { Fill::Whole };
        match self.fresh_span(central, fill, central.class().span_pages(), partition) {
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
                    // SAFETY: a record of this heap, which the claim was the only right to.
                    unsafe { central.full_swept(now).at(partition).push(claim.release()) };
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
                // SAFETY: records of this heap, whose tokens have ended.
                unsafe { central.full_swept(now).at(partition).push_many(&released) };
                released.clear();
                partition = next_partition;
            }
            released.push(span.uncache(now));
        }
        central.counts().allocated(handed_out, slot_bytes);
        // SAFETY: as above.
        unsafe { central.full_swept(now).at(partition).push_many(&released) };
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
        // SAFETY: a record of this heap, whose token ends here.
        unsafe { list.at(partition).push(span.uncache(now)) };
    }

    /// Marks the objects that were allocated in a span since it was cached, if an incremental
    /// mark phase is under way (M4).
    #[inline]
    fn mark_allocated_black(&self, span: &CachedSpan) {
        heap_sync::mutant!("allocates white" => return);
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
        fill: Fill,
    ) -> Result<NonNull<u8>, OutOfMemory> {
        if bytes > isize::MAX as usize - ARENA_SIZE {
            return Err(OutOfMemory::TooLarge);
        }
        let central = self.central(kind, SizeClass::LARGE).ok_or(OutOfMemory::System)?;
        let span = self.fresh_span(central, fill, pages_for(bytes), Partition::default())?;
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
}
