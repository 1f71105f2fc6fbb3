//! Span stamps and the sweep clock under the model checker, whole and with one
//! part broken.
//!
//! The bits of a span are a witness that its owner touches: loom reports owners
//! that do not take turns (G1), and a hand-over that the stamp does not order
//! (G2). Every program runs at readings of the clock that wrap.
//!
//! A [`Steps`] is the stamp as its callers use it. A mutant is a `Steps` in which
//! one step lacks one line.

use std::sync::Arc;

use heap_sync::atomic::Ordering;
use heap_sync::model::{UNORDERED, Witness, caught, check};
use heap_sync::thread::{JoinHandle, spawn};

use super::{SpanPhase, SpanStamp, SweepGen};

/// The steps of the protocol. What is not overridden is the real thing.
trait Steps: 'static {
    fn phase(stamp: &SpanStamp, now: SweepGen) -> Option<SpanPhase> {
        stamp.phase(now)
    }

    fn try_claim(stamp: &SpanStamp, now: SweepGen) -> bool {
        stamp.try_claim(now)
    }

    fn set(stamp: &SpanStamp, phase: SpanPhase, now: SweepGen) {
        stamp.set(phase, now);
    }

    /// Whether caches are flushed before the clock advances.
    const FLUSHES: bool = true;
}

/// The protocol as it is.
struct Sound;

impl Steps for Sound {}

/// Readings of the clock: the first, and those around which it wraps.
const READINGS: [SweepGen; 4] = [
    SweepGen::START,
    SweepGen::from_raw(u32::MAX - 3),
    SweepGen::from_raw(u32::MAX - 1),
    SweepGen::from_raw(1 << 31),
];

struct Span<S> {
    stamp: SpanStamp,
    /// Touched by the owner: a sweeper with a claim, or a mutator.
    bits: Witness,
    steps: std::marker::PhantomData<fn() -> S>,
}

impl<S: Steps> Span<S> {
    fn new(phase: SpanPhase, now: SweepGen) -> Arc<Span<S>> {
        Arc::new(Span {
            stamp: SpanStamp::new(phase, now),
            bits: Witness::default(),
            steps: std::marker::PhantomData,
        })
    }

    /// Claims, sweeps, and leaves the span in `then`. Whether the claim succeeded.
    fn sweep(&self, now: SweepGen, then: SpanPhase) -> bool {
        let claimed = S::try_claim(&self.stamp, now);
        if claimed {
            self.bits.touch();
            S::set(&self.stamp, then, now);
        }
        claimed
    }

    fn spawn<R: 'static>(
        self: &Arc<Self>,
        run: impl FnOnce(&Self) -> R + 'static,
    ) -> JoinHandle<R> {
        let span = Arc::clone(self);
        spawn(move || run(&span))
    }
}

/// Of three claims one succeeds, if the span needs sweeping, else none.
fn one_claim_succeeds<S: Steps>() {
    for now in READINGS {
        for phase in SpanPhase::ALL {
            check(move || {
                let span = Span::<S>::new(phase, now);
                let others = [
                    span.spawn(move |s| s.sweep(now, SpanPhase::Swept)),
                    span.spawn(move |s| s.sweep(now, SpanPhase::Cached)),
                ];
                let mut claims = usize::from(span.sweep(now, SpanPhase::Swept));
                for other in others {
                    claims += usize::from(other.join().unwrap());
                }
                assert_eq!(claims, usize::from(phase == SpanPhase::NeedsSweep), "G1: claims");
            });
        }
    }
}

/// Whoever sees that a span is swept may read its bits.
fn a_swept_span_is_seen_with_its_bits<S: Steps>() {
    for now in READINGS {
        check(move || {
            let span = Span::<S>::new(SpanPhase::NeedsSweep, now);
            let sweeper = span.spawn(move |s| s.sweep(now, SpanPhase::Swept));
            match S::phase(&span.stamp, now) {
                Some(SpanPhase::Swept) => assert_eq!(span.bits.look(), 1),
                Some(SpanPhase::NeedsSweep | SpanPhase::Sweeping) => {}
                other => panic!("G3: a span that is being swept reads {other:?}"),
            }
            assert!(sweeper.join().unwrap());
        });
    }
}

/// A mutator gives a span back; a sweeper claims it in the next cycle. Nothing
/// but the stamp orders the two.
fn a_claim_sees_what_the_last_owner_wrote<S: Steps>() {
    for now in READINGS {
        check(move || {
            let span = Span::<S>::new(SpanPhase::Cached, now);
            let owner = span.spawn(move |s| {
                s.bits.touch();
                S::set(&s.stamp, SpanPhase::Swept, now);
            });
            span.sweep(now.next(), SpanPhase::Swept);
            owner.join().unwrap();
        });
    }
}

/// Two cycles with a mutator that refills its cache and a sweeper. Whenever the
/// clock advances, every span is swept, and needs sweeping after.
fn the_clock_advances_over_swept_spans<S: Steps>() {
    for start in READINGS {
        check(move || {
            let spans = [
                Span::<S>::new(SpanPhase::Cached, start),
                Span::<S>::new(SpanPhase::NeedsSweep, start),
            ];
            let mut now = start;
            for _ in 0..2 {
                // The mutator trades the first span for the second, if it can
                // have it; the sweeper sweeps what it can have.
                let [first, second] = spans.clone();
                let mutator = spawn(move || {
                    if S::phase(&first.stamp, now) == Some(SpanPhase::Cached) {
                        first.bits.touch();
                        S::set(&first.stamp, SpanPhase::Swept, now);
                    }
                    if second.sweep(now, SpanPhase::Cached) {
                        second.bits.touch();
                    }
                });
                for span in &spans {
                    span.sweep(now, SpanPhase::Swept);
                }
                mutator.join().unwrap();
                // The world is stopped: flush, finish sweeping, advance.
                for span in &spans {
                    let phase = S::phase(&span.stamp, now);
                    if phase == Some(SpanPhase::Cached) && S::FLUSHES {
                        span.bits.touch();
                        S::set(&span.stamp, SpanPhase::Swept, now);
                    }
                    span.sweep(now, SpanPhase::Swept);
                }
                now = now.next();
                for span in &spans {
                    let phase = S::phase(&span.stamp, now);
                    assert_eq!(phase, Some(SpanPhase::NeedsSweep), "G3: a stale span");
                }
            }
        });
    }
}

#[test]
fn loom_one_claim_succeeds() {
    one_claim_succeeds::<Sound>();
}

#[test]
fn loom_a_swept_span_is_seen_with_its_bits() {
    a_swept_span_is_seen_with_its_bits::<Sound>();
}

#[test]
fn loom_a_claim_sees_what_the_last_owner_wrote() {
    a_claim_sees_what_the_last_owner_wrote::<Sound>();
}

#[test]
fn loom_the_clock_advances_over_swept_spans() {
    the_clock_advances_over_swept_spans::<Sound>();
}

// ---- the mutants ----------------------------------------------------------------

/// Claims by looking and then writing.
struct ClaimsInTwoSteps;

impl Steps for ClaimsInTwoSteps {
    fn try_claim(stamp: &SpanStamp, now: SweepGen) -> bool {
        // Removed: the exchange.
        let free = stamp.phase(now) == Some(SpanPhase::NeedsSweep);
        if free {
            stamp.set(SpanPhase::Sweeping, now);
        }
        free
    }
}

#[test]
fn loom_mutant_claims_in_two_steps() {
    caught(UNORDERED, one_claim_succeeds::<ClaimsInTwoSteps>);
}

/// Does not see what the last owner wrote.
struct ClaimsRelaxed;

impl Steps for ClaimsRelaxed {
    fn try_claim(stamp: &SpanStamp, now: SweepGen) -> bool {
        let from = now.0.wrapping_add(SpanPhase::NeedsSweep.delta());
        let to = now.0.wrapping_add(SpanPhase::Sweeping.delta());
        // Changed: Ordering::Acquire.
        stamp.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[test]
fn loom_mutant_claims_relaxed() {
    caught(UNORDERED, a_claim_sees_what_the_last_owner_wrote::<ClaimsRelaxed>);
}

/// Does not publish the bits.
struct SetsRelaxed;

impl Steps for SetsRelaxed {
    fn set(stamp: &SpanStamp, phase: SpanPhase, now: SweepGen) {
        // Changed: Ordering::Release.
        stamp.0.store(now.0.wrapping_add(phase.delta()), Ordering::Relaxed);
    }
}

#[test]
fn loom_mutant_sets_relaxed() {
    caught(UNORDERED, a_swept_span_is_seen_with_its_bits::<SetsRelaxed>);
}

/// Sees the phase, but not the bits.
struct LooksRelaxed;

impl Steps for LooksRelaxed {
    fn phase(stamp: &SpanStamp, now: SweepGen) -> Option<SpanPhase> {
        // Changed: Ordering::Acquire.
        let delta = stamp.0.load(Ordering::Relaxed).wrapping_sub(now.0);
        SpanPhase::ALL.into_iter().find(|phase| phase.delta() == delta)
    }
}

#[test]
fn loom_mutant_looks_relaxed() {
    caught(UNORDERED, a_swept_span_is_seen_with_its_bits::<LooksRelaxed>);
}

/// Advances the clock over cached spans.
struct KeepsCaches;

impl Steps for KeepsCaches {
    const FLUSHES: bool = false;
}

#[test]
fn loom_mutant_keeps_caches() {
    caught("G3: a stale span", the_clock_advances_over_swept_spans::<KeepsCaches>);
}

/// Compares stamps by size, as if the clock did not wrap.
struct ComparesBySize;

impl Steps for ComparesBySize {
    fn try_claim(stamp: &SpanStamp, now: SweepGen) -> bool {
        // Changed: the exact, wrapping comparison.
        let old = stamp.0.load(Ordering::Relaxed);
        let to = now.0.wrapping_add(SpanPhase::Sweeping.delta());
        old < to && stamp.0.compare_exchange(old, to, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}

#[test]
fn loom_mutant_compares_by_size() {
    caught("G1: claims", one_claim_succeeds::<ComparesBySize>);
}
