//! The background sweeper and a refilling mutator against the start of the next
//! cycle, under the model checker, whole and with one part broken.
//!
//! Tickets, stamps and tokens are the real ones. The steps around them are those
//! of `MHeap::sweep_one`, `sweep_for_room` and `start_sweep` without memory: a
//! span's contents are a witness, and a half of the central lists is a set of
//! bits. The background thread is no mutator, so stopping the world does not stop
//! it: only tickets keep it off a new cycle (Y1, BG1).
//!
//! A [`Steps`] is what the sweepers and the collector do. A mutant is a `Steps`
//! that leaves one thing out.

use std::iter::from_fn;
use std::ptr::NonNull;
use std::sync::Arc;

use heap_sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use heap_sync::model::{Witness, caught, check_bounded};
use heap_sync::thread::{JoinHandle, spawn, yield_now};

use crate::kind::NOSCAN;
use crate::mheap::Destructors;
use crate::mspan::{Body, CachedSpan, Span, SweepClaim};
use crate::size_class::SizeClass;
use crate::sweep_gen::{SpanPhase, SweepGen};
use crate::ticket::{ActiveSweep, Ticket};

/// The choices that the protocol depends on.
trait Steps: 'static {
    /// Whether a sweeper reads the clock when it has its ticket.
    const TICKET_THEN_CLOCK: bool = true;
    /// Whether the collector waits for tickets that are out.
    const WAITS: bool = true;
    /// Whether the collector takes the mutators' spans back.
    const FLUSHES: bool = true;
    /// Whether a sweeper that leaves destructors alone looks at the count before it closes (DT2).
    const COUNTS: bool = true;
    /// Whether one that runs them closes when it has found all lists empty, whatever the count.
    const TRUSTS_LISTS: bool = true;
}

/// The protocol as it is.
struct Sound;

impl Steps for Sound {}

const SPANS: usize = 2;

/// Half of a central's lists. Bit `i` stands for span `i`.
#[derive(Default)]
struct Half(AtomicUsize);

impl Half {
    // ORDERING: Release to Acquire, as in a span set.
    fn push(&self, span: usize) {
        let before = self.0.fetch_or(1 << span, Ordering::Release);
        assert_eq!(before & 1 << span, 0, "S3: a span is in a list twice");
    }

    /// One of the spans in `of`.
    fn pop(&self, of: usize) -> Option<usize> {
        let mut spans = self.0.load(Ordering::Relaxed);
        while spans & of != 0 {
            let first = (spans & of).trailing_zeros();
            let rest = spans & !(1 << first);
            match self.0.compare_exchange(spans, rest, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(first as usize),
                Err(actual) => spans = actual,
            }
        }
        None
    }
}

struct World<S> {
    clock: AtomicU32,
    active: ActiveSweep,
    spans: Vec<Span>,
    /// Touched by the owner of the span.
    bits: [Witness; SPANS],
    halves: [Half; 2],
    /// The spans whose kind has destructors.
    dropping: usize,
    /// How many of them are still to be swept (DT2).
    undropped: AtomicUsize,
    /// Touched between two cycles, looked at by sweepers: generations of
    /// bitmaps, the credit counter.
    cycle: Witness,
    steps: std::marker::PhantomData<fn() -> S>,
}

impl<S: Steps> World<S> {
    /// A heap whose clock is about to wrap, with unswept spans.
    fn new() -> Arc<World<S>> {
        World::with_destructors(0)
    }

    /// The same; those of the spans that are in `dropping` have destructors.
    fn with_destructors(dropping: usize) -> Arc<World<S>> {
        let last = SweepGen::from_raw(u32::MAX - 1);
        let world = World {
            clock: AtomicU32::new(last.raw()),
            active: ActiveSweep::closed(),
            spans: (0..SPANS).map(|_| Span::dead()).collect(),
            bits: Default::default(),
            halves: Default::default(),
            dropping,
            undropped: AtomicUsize::new(0),
            cycle: Witness::default(),
            steps: std::marker::PhantomData,
        };
        for (index, span) in world.spans.iter().enumerate() {
            let body = Body {
                base: NonNull::dangling(),
                npages: 1,
                class: SizeClass::LARGE,
                kind: &NOSCAN,
                central: NonNull::dangling(),
                nelems: 1,
                slot_bytes: 8,
                free_index: 0,
                alloc_bits: None,
                allocated: 0,
                counted: 0,
                cached_at: 0,
                needs_zero: false,
            };
            // SAFETY: a dead record of our own; nobody follows its pointers.
            let cached = unsafe { CachedSpan::set_up(NonNull::from(span), last, body) };
            cached.uncache(last);
            world.halves[last.swept_half()].push(index);
        }
        world.start_sweep();
        Arc::new(world)
    }

    fn now(&self) -> SweepGen {
        SweepGen::from_raw(self.clock.load(Ordering::Relaxed))
    }

    fn span(&self, index: usize) -> NonNull<Span> {
        NonNull::from(&self.spans[index])
    }

    /// Takes an unswept span out of `of`, to sweep it.
    fn claim<'t>(
        &self,
        ticket: &'t Ticket<'t>,
        of: usize,
        now: SweepGen,
    ) -> Option<(usize, SweepClaim<'t>)> {
        loop {
            let index = self.halves[now.unswept_half()].pop(of)?;
            // SAFETY: a record of the model, at its own time.
            if let Some(claim) = unsafe { SweepClaim::try_claim(ticket, self.span(index), now) } {
                return Some((index, claim));
            }
        }
    }

    /// Sweeps a span that was claimed.
    fn sweep(&self, index: usize) {
        self.cycle.look();
        self.bits[index].touch();
    }

    /// `MHeap::sweep_one`. Whether there was a span to sweep.
    fn sweep_one(&self, destructors: Destructors) -> bool {
        let early = self.now();
        let Some(ticket) = self.active.begin() else { return false };
        let now = if S::TICKET_THEN_CLOCK { self.now() } else { early };
        let dropping = match destructors {
            Destructors::Run => self.claim(&ticket, self.dropping, now),
            Destructors::Leave => None,
        };
        match dropping.or_else(|| self.claim(&ticket, !self.dropping, now)) {
            Some((index, claim)) => {
                if self.dropping & 1 << index != 0 {
                    self.undropped.fetch_sub(1, Ordering::Relaxed);
                }
                self.sweep(index);
                claim.release();
                self.halves[now.swept_half()].push(index);
                true
            }
            None => {
                let none_is_left = self.undropped.load(Ordering::Relaxed) == 0;
                let may_close = match destructors {
                    Destructors::Run => S::TRUSTS_LISTS || none_is_left,
                    Destructors::Leave => !S::COUNTS || none_is_left,
                };
                if may_close {
                    ticket.close();
                }
                false
            }
        }
    }

    /// `MHeap::acquire_spans` of a mutator that is inside: the clock stands.
    fn acquire(&self, wanted: usize) -> Vec<(usize, CachedSpan)> {
        let now = self.now();
        let swept = from_fn(|| self.halves[now.swept_half()].pop(!0)).take(wanted);
        // SAFETY: just popped from the swept half.
        let cached = |index| unsafe { CachedSpan::from_swept(self.span(index), now) };
        let swept: Vec<_> = swept.map(|index| (index, cached(index))).collect();
        if !swept.is_empty() {
            return swept;
        }
        let Some(ticket) = self.active.begin() else { return Vec::new() };
        // All claims are held before the first span is swept.
        let claims: Vec<_> =
            from_fn(|| self.claim(&ticket, !self.dropping, now)).take(wanted).collect();
        let sweep = |(index, claim): (usize, SweepClaim<'_>)| {
            self.sweep(index);
            (index, claim.into_cached())
        };
        claims.into_iter().map(sweep).collect()
    }

    /// A mutator's stay inside: takes spans, as many as wanted, and allocates from them.
    fn allocate(&self, wanted: usize) -> Vec<(usize, CachedSpan)> {
        let cached = self.acquire(wanted);
        for (index, _) in &cached {
            self.bits[*index].touch();
        }
        cached
    }

    /// What the collector does with the world stopped. The mutators' threads have
    /// been joined: the gate has a model of its own.
    fn cycle(&self, caches: impl IntoIterator<Item = (usize, CachedSpan)>) {
        for (index, cached) in caches {
            if S::FLUSHES {
                self.bits[index].touch();
                cached.uncache(self.now());
                self.halves[self.now().swept_half()].push(index);
            }
        }
        while self.sweep_one(Destructors::Run) {}
        while S::WAITS && !self.active.is_over() {
            yield_now();
        }
        self.cycle.touch();
        for (span, bits) in self.spans.iter().zip(&self.bits) {
            assert_eq!(span.phase(self.now()), Some(SpanPhase::Swept), "G3: a span is not swept");
            bits.touch();
        }
        assert_eq!(self.halves[self.now().unswept_half()].0.load(Ordering::Relaxed), 0, "N1");
        let swept = self.halves[self.now().swept_half()].0.load(Ordering::Relaxed);
        assert_eq!(swept.count_ones() as usize, SPANS, "S3: a span is in no list");
        self.start_sweep();
    }

    /// `MHeap::start_sweep`.
    fn start_sweep(&self) {
        self.clock.store(self.now().next().raw(), Ordering::Relaxed);
        self.undropped.store(self.dropping.count_ones() as usize, Ordering::Relaxed);
        self.active.reopen();
    }

    fn spawn<R: 'static>(
        self: &Arc<Self>,
        run: impl FnOnce(&Self) -> R + 'static,
    ) -> JoinHandle<R> {
        let world = Arc::clone(self);
        spawn(move || run(&world))
    }
}

/// The background thread sweeps while one cycle ends and the next begins.
fn the_next_cycle_waits_for_the_background_sweeper<S: Steps>() {
    check_bounded(3, || {
        let world = World::<S>::new();
        let background = world.spawn(|w| while w.sweep_one(Destructors::Run) {});
        world.cycle([]);
        background.join().unwrap();
        world.cycle([]);
    });
}

/// A sweeper that wakes up for the wrong cycle, and sweeps once.
fn a_late_sweeper_sweeps_for_the_new_cycle<S: Steps>() {
    check_bounded(4, || {
        let world = World::<S>::new();
        let background = world.spawn(|w| {
            w.sweep_one(Destructors::Run);
        });
        world.cycle([]);
        world.sweep_one(Destructors::Run);
        background.join().unwrap();
        world.cycle([]);
    });
}

/// A mutator refills its cache with a batch beside the background thread; then the
/// next cycle begins.
fn a_refill_beside_the_background_sweeper<S: Steps>() {
    check_bounded(3, || {
        let world = World::<S>::new();
        let background = world.spawn(|w| {
            w.sweep_one(Destructors::Run);
            w.sweep_one(Destructors::Run);
        });
        let mutator = world.spawn(|w| w.allocate(SPANS));
        let cached = mutator.join().unwrap();
        world.cycle(cached);
        background.join().unwrap();
        world.cycle([]);
    });
}

/// Two mutators refill their caches, sweeping; neither gets the other's span.
fn two_refills_share_the_spans<S: Steps>() {
    check_bounded(3, || {
        let world = World::<S>::new();
        let other = world.spawn(|w| w.allocate(1));
        let mine = world.allocate(1);
        let others = other.join().unwrap();
        assert!(mine.len() == 1 && others.len() == 1, "there are spans for both");
        world.cycle(mine.into_iter().chain(others));
    });
}

/// A sweeper that leaves destructors alone, beside one that runs them and gives up after a span;
/// then the next cycle begins. `Leave` is an allocation that pays, but it needs no cache here.
fn sweepers_of_both_kinds<S: Steps>() {
    check_bounded(2, || {
        let world = World::<S>::with_destructors(0b10);
        let payer = world.spawn(|w| while w.sweep_one(Destructors::Leave) {});
        let background = world.spawn(|w| {
            w.sweep_one(Destructors::Run);
        });
        world.cycle([]);
        payer.join().unwrap();
        background.join().unwrap();
        world.cycle([]);
    });
}

#[test]
fn loom_sweepers_of_both_kinds() {
    sweepers_of_both_kinds::<Sound>();
}

#[test]
fn loom_the_next_cycle_waits_for_the_background_sweeper() {
    the_next_cycle_waits_for_the_background_sweeper::<Sound>();
}

#[test]
fn loom_a_late_sweeper_sweeps_for_the_new_cycle() {
    a_late_sweeper_sweeps_for_the_new_cycle::<Sound>();
}

#[test]
fn loom_a_refill_beside_the_background_sweeper() {
    a_refill_beside_the_background_sweeper::<Sound>();
}

#[test]
fn loom_two_refills_share_the_spans() {
    two_refills_share_the_spans::<Sound>();
}

// ---- the mutants ----------------------------------------------------------------

/// Reads the clock before it has a ticket: the ticket may be of the next cycle.
struct ClockThenTicket;

impl Steps for ClockThenTicket {
    const TICKET_THEN_CLOCK: bool = false;
}

#[test]
fn loom_mutant_clock_then_ticket() {
    caught("G3: a span is not swept", a_late_sweeper_sweeps_for_the_new_cycle::<ClockThenTicket>);
}

/// Starts the next cycle when nothing is left to claim, not when all is swept.
struct DoesNotWait;

impl Steps for DoesNotWait {
    const WAITS: bool = false;
}

#[test]
fn loom_mutant_does_not_wait() {
    caught(
        "G3: a span is not swept",
        the_next_cycle_waits_for_the_background_sweeper::<DoesNotWait>,
    );
}

/// Advances the clock over the mutators' caches.
struct KeepsCaches;

impl Steps for KeepsCaches {
    const FLUSHES: bool = false;
}

#[test]
fn loom_mutant_keeps_caches() {
    caught("G3: a span is not swept", a_refill_beside_the_background_sweeper::<KeepsCaches>);
}

/// Says that all is swept when only what it may sweep is (DT1).
struct ClosesBlindly;

impl Steps for ClosesBlindly {
    const COUNTS: bool = false;
}

#[test]
fn loom_mutant_closes_blindly() {
    caught("G3: a span is not swept", sweepers_of_both_kinds::<ClosesBlindly>);
}

/// Goes by the count alone: a sweeper that has taken the last span and not yet counted it keeps
/// this one from closing, and does not come back.
struct GoesByTheCount;

impl Steps for GoesByTheCount {
    const TRUSTS_LISTS: bool = false;
}

#[test]
fn loom_mutant_goes_by_the_count() {
    caught("exceeded maximum number of branches", sweepers_of_both_kinds::<GoesByTheCount>);
}
