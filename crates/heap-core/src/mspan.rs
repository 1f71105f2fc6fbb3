//! [`Span`]: a run of pages cut into slots of one size and kind. (Go: `mspan`.)
//!
//! A span record is never unmapped while its heap lives (F1), so it may be named
//! by a plain pointer. Its *contents* belong to the holder of one of the
//! tokens below; a token is made only by a transition of the span's stamp.
//!
//! | token | phase | held by |
//! |---|---|---|
//! | [`CachedSpan`] | `Cached` | one mutator's cache; or being set up |
//! | [`SweepClaim`] | `Sweeping` | one sweeper, with a ticket out |
//! | [`ManualSpan`] | none: no objects | the pool of stack blocks |
//!
//! * S1: a slot is allocated iff its index is below `free_index` or its bit in
//!   `alloc_bits` is set.
//! * S2: sweeping never raises the number of allocated slots: a mark on a free
//!   slot is corruption.
//! * S3: a token is unique: the span is in no list while one exists; and no two
//!   spans share a page.
//! * S4: the number of pages and slots, and the size of a slot, are those of the
//!   size class.

mod manual;

use core::cell::UnsafeCell;
use core::ptr::NonNull;

use heap_sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use crate::gcbits::Bitmap;
use crate::geometry::PAGE_SIZE;
use crate::kind::ObjectKind;
use crate::mcentral::Central;
use crate::partition::{Partition, Partitioning};
use crate::size_class::SizeClass;
use crate::sweep_gen::{SpanPhase, SpanStamp, SweepGen};
use crate::ticket::Ticket;
use crate::weak_handles::WeakHandles;

pub use manual::ManualSpan;

/// Whether a span record describes pages in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SpanState {
    /// The record is free, or its span is being set up.
    Dead,
    /// The span holds objects.
    InUse,
    /// The pages hold no objects and have an owner of their own: see [`ManualSpan`].
    Manual,
}

/// A span record. It has cache lines of its own, a pair as processors fetch them, because the
/// next record may be another mutator's.
#[derive(Debug)]
#[repr(align(128))]
pub struct Span {
    stamp: SpanStamp,
    state: AtomicU8,
    body: UnsafeCell<Option<Body>>,
    weak_handles: WeakHandles,
    /// The next span in a list that had no memory for this one (N3).
    link: AtomicPtr<Span>,
}

// SAFETY: `body` is only reached through tokens (S3) or with the world stopped;
// hand-overs go through the stamp (G2).
unsafe impl Send for Span {}
// SAFETY: as above.
unsafe impl Sync for Span {}

/// The contents of a live span. Only a span makes one. A copy reads the span's bitmap, so it
/// may be used only as long as the contract of the function that returned it says.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    /// First byte; derived from the arena's mapping.
    pub base: NonNull<u8>,
    /// Pages.
    pub npages: usize,
    /// Size class; [`SizeClass::LARGE`] for a span with one large object.
    pub class: SizeClass,
    /// Kind of all its objects (K1).
    pub kind: &'static ObjectKind,
    /// The central list it belongs to; lives as long as the heap.
    pub central: NonNull<Central>,
    /// Slots.
    pub nelems: usize,
    /// Bytes of a slot.
    pub slot_bytes: usize,
    /// S1: every slot below this index is allocated.
    pub free_index: usize,
    /// S1: allocation bits; `None` for a span that was never swept: all clear.
    pub(crate) alloc_bits: Option<Bitmap>,
    /// Allocated slots, as far as the owner has handed them out.
    pub allocated: usize,
    /// How many of the allocated slots the statistics have counted (Z3): the others were
    /// handed out since the span was cached.
    pub counted: usize,
    /// What `free_index` was when the span was last cached.
    pub cached_at: usize,
    /// Whether free slots may hold old data. Free slots of other spans read as
    /// zero. (Go: `needzero`.)
    pub needs_zero: bool,
}

impl Body {
    /// Whether slot `i` is allocated (S1).
    #[must_use]
    pub(crate) fn is_allocated(&self, i: usize) -> bool {
        i < self.free_index || self.alloc_bits.is_some_and(|bits| bits.get(i))
    }

    /// The slots that were handed out since the span was cached.
    pub(crate) fn handed_out(&self) -> impl Iterator<Item = usize> {
        let was_free = move |i: &usize| !self.alloc_bits.is_some_and(|bits| bits.get(*i));
        (self.cached_at..self.free_index).filter(was_free)
    }

    /// Start of slot `i`.
    #[must_use]
    pub(crate) fn slot(&self, i: usize) -> NonNull<u8> {
        debug_assert!(i < self.nelems);
        // The slot lies within the span's pages, unless `i` is not an index of it.
        let offset = i.wrapping_mul(self.slot_bytes);
        self.base.map_addr(|base| base.saturating_add(offset))
    }

    /// Index of the slot that contains `address`, if it is in the span's slots.
    #[must_use]
    pub(crate) fn slot_index(&self, address: usize) -> Option<usize> {
        let offset = address.checked_sub(self.base.addr().get())?;
        let index = if self.class == SizeClass::LARGE { 0 } else { self.class.slot_of(offset) };
        (offset < self.nelems * self.slot_bytes).then_some(index)
    }

    /// Whether an allocated object may start at `address`: at the start of a slot, or
    /// anywhere in one whose objects share it (TN4).
    #[must_use]
    pub fn may_start_at(&self, address: usize) -> bool {
        self.slot_index(address).is_some_and(|i| {
            self.is_allocated(i)
                && (self.kind.shares_slots() || self.slot(i).addr().get() == address)
        })
    }

    /// The partition that the span's pages belong to.
    #[inline]
    #[must_use]
    pub(crate) fn partition(&self, partitions: Partitioning) -> Partition {
        partitions.of_page(self.base.addr().get())
    }

    /// Bytes of the span's pages.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.npages * PAGE_SIZE
    }
}

impl Span {
    /// A free record.
    #[must_use]
    pub(crate) fn dead() -> Span {
        Span {
            stamp: SpanStamp::new(SpanPhase::Swept, SweepGen::START),
            state: AtomicU8::new(SpanState::Dead as u8),
            body: UnsafeCell::new(None),
            weak_handles: WeakHandles::default(),
            link: AtomicPtr::default(),
        }
    }

    /// The span's phase at `now`; `None` is corruption (G3).
    #[must_use]
    pub(crate) fn phase(&self, now: SweepGen) -> Option<SpanPhase> {
        self.stamp.phase(now)
    }

    /// Whether the span is in use.
    #[must_use]
    pub(crate) fn state(&self) -> SpanState {
        // ORDERING: Acquire pairs with the Release of the functions that change it: `set_up`
        // and `kill` of the tokens, `discard`.
        match self.state.load(Ordering::Acquire) {
            0 => SpanState::Dead,
            1 => SpanState::InUse,
            _ => SpanState::Manual,
        }
    }

    /// Which of the span's objects have weak handles.
    #[must_use]
    pub(crate) fn weak_handles(&self) -> &WeakHandles {
        &self.weak_handles
    }

    /// The next span in a list of a central (N3).
    pub(crate) fn link(&self) -> &AtomicPtr<Span> {
        &self.link
    }

    /// Marks the record of a span with objects as dead and clears its contents.
    ///
    /// # Safety
    ///
    /// No token of the span exists or will be made; it is in no list that is still read.
    pub(crate) unsafe fn discard(&self) {
        // SAFETY: forwarded to the caller.
        unsafe { *self.body.get() = None };
        // ORDERING: Release pairs with the Acquire in `state`.
        self.state.store(SpanState::Dead as u8, Ordering::Release);
    }

    /// A copy of the span's contents, for the verifier and for look-ups.
    ///
    /// # Safety
    ///
    /// No holder of a token of this span acts on it while the copy is used: the world is
    /// stopped and no sweeper is at work, or the caller holds the token.
    #[must_use]
    pub(crate) unsafe fn inspect(&self) -> Option<Body> {
        // SAFETY: forwarded to the caller.
        unsafe { *self.body.get() }
    }
}

/// A span that one mutator allocates from.
#[derive(Debug)]
#[must_use = "a lost token loses the span"]
pub struct CachedSpan(NonNull<Span>);

// SAFETY: the token is the right to the span, and may move with its owner.
unsafe impl Send for CachedSpan {}

impl CachedSpan {
    /// Sets up a record for fresh pages and takes the token.
    ///
    /// # Safety
    ///
    /// `span` is a dead record that is not in use elsewhere; the pages belong to it.
    pub(crate) unsafe fn set_up(span: NonNull<Span>, now: SweepGen, body: Body) -> CachedSpan {
        // SAFETY: the caller owns the dead record.
        let record = unsafe { span.as_ref() };
        debug_assert_eq!(record.state(), SpanState::Dead);
        // SAFETY: as above.
        unsafe { *record.body.get() = Some(body) };
        record.stamp.set(SpanPhase::Cached, now);
        // ORDERING: Release pairs with the Acquire in `state`.
        record.state.store(SpanState::InUse as u8, Ordering::Release);
        CachedSpan(span)
    }

    /// Takes the token of a span that a central list of swept spans gave out.
    ///
    /// # Safety
    ///
    /// The span was just popped from a list of swept spans: no other token of it exists.
    pub(crate) unsafe fn from_swept(span: NonNull<Span>, now: SweepGen) -> CachedSpan {
        // SAFETY: span records live as long as the heap.
        let record = unsafe { span.as_ref() };
        debug_assert_eq!(record.phase(now), Some(SpanPhase::Swept), "G3");
        record.stamp.set(SpanPhase::Cached, now);
        CachedSpan(span).begin()
    }

    /// Records the index from which slots are handed out.
    fn begin(mut self) -> CachedSpan {
        let body = self.body_mut();
        body.cached_at = body.free_index;
        self
    }

    /// The contents.
    #[must_use]
    pub(crate) fn body(&self) -> &Body {
        // SAFETY: S3: the token is the only way to the body.
        unsafe { (*self.0.as_ref().body.get()).as_ref().expect("a cached span is set up") }
    }

    pub(crate) fn body_mut(&mut self) -> &mut Body {
        // SAFETY: S3, and `&mut self`.
        unsafe { (*self.0.as_ref().body.get()).as_mut().expect("a cached span is set up") }
    }

    /// The next run of free slots, as first and one-past-last slot index. The
    /// slots of the run count as allocated from here on.
    pub(crate) fn next_run(&mut self) -> Option<(usize, usize)> {
        let body = self.body_mut();
        let Some(bits) = body.alloc_bits else {
            // Never swept: everything from `free_index` on is free.
            let first = body.free_index;
            if first == body.nelems {
                return None;
            }
            body.free_index = body.nelems;
            body.allocated += body.nelems - first;
            return Some((first, body.nelems));
        };
        let first = next_bit(bits, body.free_index, body.nelems, 0);
        if first == body.nelems {
            body.free_index = body.nelems;
            return None;
        }
        let end = next_bit(bits, first, body.nelems, !0);
        body.free_index = end;
        body.allocated += end - first;
        Some((first, end))
    }

    /// Gives back the slots of the last run from index `first` on.
    pub(crate) fn return_run(&mut self, first: usize) {
        let body = self.body_mut();
        debug_assert!(first <= body.free_index);
        body.allocated -= body.free_index - first;
        body.free_index = first;
    }

    /// The number of slots that were handed out since the statistics last counted the span's
    /// slots (Z3). Records them as counted.
    pub(crate) fn count(&mut self) -> usize {
        let body = self.body_mut();
        let before = core::mem::replace(&mut body.counted, body.allocated);
        body.allocated - before
    }

    /// Slots that can still be handed out.
    #[must_use]
    pub(crate) fn free_slots(&self) -> usize {
        self.body().nelems - self.body().allocated
    }

    /// Ends the mutator's ownership: the span is swept and in no cache.
    pub(crate) fn uncache(self, now: SweepGen) -> NonNull<Span> {
        // SAFETY: span records live as long as the heap.
        unsafe { self.0.as_ref() }.stamp.set(SpanPhase::Swept, now);
        self.0
    }
}

/// First index at or after `from` and below `end` whose bit is clear
/// (`flip == 0`) or set (`flip == !0`); `end` if there is none.
fn next_bit(bits: Bitmap, from: usize, end: usize, flip: u64) -> usize {
    let mut index = from;
    while index < end {
        let wanted = !(bits.word(index / 64) ^ flip) >> (index % 64);
        if wanted != 0 {
            return (index + wanted.trailing_zeros() as usize).min(end);
        }
        index = (index / 64 + 1) * 64;
    }
    end
}

/// The right to sweep one span in this cycle. It borrows a [`Ticket`], so that
/// sweeping cannot be over while a claim is out (W1).
#[derive(Debug)]
#[must_use = "a claimed span must be swept and settled"]
pub struct SweepClaim<'t> {
    span: NonNull<Span>,
    now: SweepGen,
    ticket: core::marker::PhantomData<&'t Ticket<'t>>,
}

impl<'t> SweepClaim<'t> {
    /// Claims a span, unless it was claimed or swept in this cycle already.
    ///
    /// # Safety
    ///
    /// `span` is a record of the heap that the ticket is of, and `now` its clock.
    pub(crate) unsafe fn try_claim<'a: 't>(
        _ticket: &'t Ticket<'a>,
        span: NonNull<Span>,
        now: SweepGen,
    ) -> Option<SweepClaim<'t>> {
        // SAFETY: span records live as long as the heap (F1).
        unsafe { span.as_ref() }.stamp.try_claim(now).then_some(SweepClaim {
            span,
            now,
            ticket: core::marker::PhantomData,
        })
    }

    /// The contents.
    #[must_use]
    pub(crate) fn body(&self) -> &Body {
        // SAFETY: S3.
        unsafe { (*self.span.as_ref().body.get()).as_ref().expect("a claimed span is set up") }
    }

    pub(crate) fn body_mut(&mut self) -> &mut Body {
        // SAFETY: S3, and `&mut self`.
        unsafe { (*self.span.as_ref().body.get()).as_mut().expect("a claimed span is set up") }
    }

    /// Ends the claim on a span that has been swept: it may go to a list of swept spans.
    pub(crate) fn release(self) -> NonNull<Span> {
        // SAFETY: F1.
        unsafe { self.span.as_ref() }.stamp.set(SpanPhase::Swept, self.now);
        self.span
    }

    /// Turns the claim on a span that has been swept into the token of the claimant's cache.
    pub(crate) fn into_cached(self) -> CachedSpan {
        // SAFETY: F1.
        unsafe { self.span.as_ref() }.stamp.set(SpanPhase::Cached, self.now);
        CachedSpan(self.span).begin()
    }

    /// Ends the claim on a span without objects: marks the record as dead. Returns it with
    /// the contents, which say what pages it covered.
    pub(crate) fn kill(self) -> (NonNull<Span>, Body) {
        // SAFETY: F1; S3 gives access to the body.
        let record = unsafe { self.span.as_ref() };
        // SAFETY: S3.
        let body = unsafe { (*record.body.get()).take().expect("a claimed span is set up") };
        // ORDERING: Release pairs with the Acquire in `state`.
        record.state.store(SpanState::Dead as u8, Ordering::Release);
        record.stamp.set(SpanPhase::Swept, self.now);
        (self.span, body)
    }
}
