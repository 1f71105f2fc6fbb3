//! [`SweepGen`] and [`SpanPhase`]: the sweep clock, and the phase of a span relative to it.
//!
//! The heap has a clock that advances by two per cycle, with the world stopped.
//! Each span carries a stamp; stamp minus clock is its phase. Advancing the
//! clock turns every swept span into one that needs sweeping, in O(1).
//! (Go: `mspan.sweepgen`.)
//!
//! * G1: for each span and cycle exactly one claim succeeds.
//! * G2: only the holder of a claim or of a cached span touches the span's
//!   bits; the hand-over goes through the stamp (Release to Acquire).
//! * G3: no span is left `NeedsSweep`, `Sweeping` or `CachedStale` when the
//!   clock advances; a stamp two steps old would read as another phase.
//!
//! Model: `tests/loom_sweep_gen.rs`.

use heap_sync::atomic::{AtomicU32, Ordering};

/// A reading of the sweep clock. Wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SweepGen(u32);

impl SweepGen {
    /// The clock of a new heap.
    pub(crate) const START: SweepGen = SweepGen(0);

    /// A reading with this raw value, for tests of wrap-around.
    #[must_use]
    pub(crate) const fn from_raw(raw: u32) -> SweepGen {
        SweepGen(raw & !1)
    }

    /// The raw value, to be stored in the heap.
    #[must_use]
    pub(crate) const fn raw(self) -> u32 {
        self.0
    }

    /// The next cycle's reading.
    #[must_use]
    pub(crate) const fn next(self) -> SweepGen {
        SweepGen(self.0.wrapping_add(2))
    }

    /// Which of the two halves of a central list holds swept spans.
    #[must_use]
    pub(crate) const fn swept_half(self) -> usize {
        (self.0 / 2 % 2) as usize
    }

    /// Which half holds the spans that still need sweeping.
    #[must_use]
    pub(crate) const fn unswept_half(self) -> usize {
        1 - self.swept_half()
    }
}

/// The meaning of a span's stamp relative to the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpanPhase {
    /// Not swept in this cycle yet.
    NeedsSweep,
    /// Being swept by the holder of a claim.
    Sweeping,
    /// Swept, and in no cache.
    Swept,
    /// Was cached when the clock advanced; must be flushed and swept.
    CachedStale,
    /// Swept and cached by a mutator.
    Cached,
}

impl SpanPhase {
    /// Stamp minus clock. The offsets are written nowhere else.
    const fn delta(self) -> u32 {
        match self {
            SpanPhase::NeedsSweep => 2u32.wrapping_neg(),
            SpanPhase::Sweeping => 1u32.wrapping_neg(),
            SpanPhase::Swept => 0,
            SpanPhase::CachedStale => 1,
            SpanPhase::Cached => 3,
        }
    }

    const ALL: [SpanPhase; 5] = [
        SpanPhase::NeedsSweep,
        SpanPhase::Sweeping,
        SpanPhase::Swept,
        SpanPhase::CachedStale,
        SpanPhase::Cached,
    ];
}

/// A span's stamp.
#[derive(Debug)]
pub(crate) struct SpanStamp(AtomicU32);

impl SpanStamp {
    /// A stamp that reads `phase` at `now`.
    #[must_use]
    pub(crate) fn new(phase: SpanPhase, now: SweepGen) -> SpanStamp {
        SpanStamp(AtomicU32::new(now.0.wrapping_add(phase.delta())))
    }

    /// The phase at `now`, or `None` for a stamp that no protocol could have
    /// left (G3 broken).
    #[must_use]
    pub(crate) fn phase(&self, now: SweepGen) -> Option<SpanPhase> {
        // ORDERING: Acquire pairs with the Release in `set`: a thread that sees
        // `Swept` sees the bits that the sweeper wrote (G2).
        // Model: loom_sweep_gen::a_swept_span_is_seen_with_its_bits.
        let delta = self.0.load(Ordering::Acquire).wrapping_sub(now.0);
        SpanPhase::ALL.into_iter().find(|phase| phase.delta() == delta)
    }

    /// Tries to become the one sweeper of the span in this cycle (G1).
    #[must_use]
    pub(crate) fn try_claim(&self, now: SweepGen) -> bool {
        let from = now.0.wrapping_add(SpanPhase::NeedsSweep.delta());
        let to = now.0.wrapping_add(SpanPhase::Sweeping.delta());
        heap_sync::mutant!("claims in two steps" => {
            let free = self.0.load(Ordering::Acquire) == from;
            if free {
                self.0.store(to, Ordering::Relaxed);
            }
            return free;
        });
        // ORDERING: Acquire sees what the last owner wrote to the span (G2); the
        // exchange itself decides between claimants.
        // Model: loom_sweep_gen::one_claim_succeeds.
        self.0.compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Moves a span that the caller owns to `phase`, publishing its bits (G2).
    pub(crate) fn set(&self, phase: SpanPhase, now: SweepGen) {
        // ORDERING: Release pairs with the Acquire in `phase` and `try_claim`.
        self.0.store(now.0.wrapping_add(phase.delta()), Ordering::Release);
    }
}

#[cfg(all(test, not(heap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn phases_survive_the_wrap_of_the_clock() {
        for raw in [0, 2, u32::MAX - 1, u32::MAX - 3, 1 << 31] {
            let now = SweepGen::from_raw(raw);
            for phase in SpanPhase::ALL {
                assert_eq!(SpanStamp::new(phase, now).phase(now), Some(phase), "{raw}");
            }
        }
    }

    #[test]
    fn advancing_the_clock_makes_swept_spans_need_sweeping_and_cached_ones_stale() {
        let now = SweepGen::from_raw(u32::MAX - 1);
        let swept = SpanStamp::new(SpanPhase::Swept, now);
        let cached = SpanStamp::new(SpanPhase::Cached, now);
        assert_eq!(swept.phase(now.next()), Some(SpanPhase::NeedsSweep));
        assert_eq!(cached.phase(now.next()), Some(SpanPhase::CachedStale));
        assert_eq!(now.next().swept_half(), now.unswept_half());
    }

    #[test]
    fn a_cached_span_that_misses_two_advances_reads_as_sweeping() {
        // The reason for G3.
        let now = SweepGen::START;
        let cached = SpanStamp::new(SpanPhase::Cached, now);
        assert_eq!(cached.phase(now.next().next()), Some(SpanPhase::Sweeping));
    }

    #[test]
    fn only_a_span_that_needs_sweeping_can_be_claimed() {
        let now = SweepGen::START;
        for phase in SpanPhase::ALL {
            let stamp = SpanStamp::new(phase, now);
            assert_eq!(stamp.try_claim(now), phase == SpanPhase::NeedsSweep);
        }
    }
}

#[cfg(all(test, heap_loom))]
#[path = "tests/loom_sweep_gen.rs"]
mod loom_sweep_gen;
