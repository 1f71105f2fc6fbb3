//! [`Phase`]: what mutators are told of a collection that is between two of its stops; and
//! [`MarkCycleId`], which names a mark phase.
//!
//! * B2: a mutator knows the phase: it changes only while the mutator is outside, and the mutator
//!   looks when it comes inside.
//!
//! The collector changes it with the world stopped.

use std::num::NonZero;

use heap_sync::atomic::{AtomicU64, Ordering};

use crate::gate::WorldStopped;

/// Names a mark phase; no other one of the process has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkCycleId(NonZero<u64>);

/// In the word of a phase: it is [`Phase::Reviving`].
const REVIVING: u64 = 1 << 63;

/// The name of the next mark phase.
static NEXT_MARK_CYCLE: std::sync::atomic::AtomicU64 =
    std::sync::atomic::AtomicU64::new(MARK_CYCLE_MIN);

/// Smaller numbers are other phases.
const MARK_CYCLE_MIN: u64 = 2;

impl MarkCycleId {
    /// A new name.
    pub(crate) fn next() -> MarkCycleId {
        let id = NEXT_MARK_CYCLE.fetch_add(1, Ordering::Relaxed);
        MarkCycleId(NonZero::new(id).expect("2^64 markings take longer than machines last"))
    }

    /// The one that a word names, if it names one: see [`MarkCycleId::get`].
    pub(crate) fn from_word(word: u64) -> Option<MarkCycleId> {
        NonZero::new(word).map(MarkCycleId)
    }

    /// The name as a number.
    #[inline(always)]
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// What mutators are told. The phases with a write barrier come first: the barrier asks for these with
/// one comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// An incremental mark phase: what cells cease to hold is reported (B1), what is made is kept
    /// (M4).
    Marking(MarkCycleId),
    /// The same, and all is marked that can be reached without finalizers. Weak handles to what is
    /// white are cleared, so to a mutator it is dead, unless an intern set shows it; objects with
    /// finalizers are found and revived.
    Reviving(MarkCycleId),
    /// No collection is under way.
    Idle,
    /// All that can be reached is marked. Weak tables are being cleared: what is white in them is
    /// dead (I1). What is made is kept (M4); there is nothing to report.
    Clearing,
}

/// The phase of a heap: 0, 1, or the name of a mark phase, with a bit if it revives.
#[derive(Debug, Default)]
pub(crate) struct PhaseWord(AtomicU64);

impl PhaseWord {
    pub(crate) fn get(&self) -> Phase {
        // ORDERING: Relaxed: it changes with the world stopped, and coming inside synchronises with
        // the thread that stopped it (B2, GA3).
        match self.0.load(Ordering::Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Clearing,
            word => {
                let id = MarkCycleId::from_word(word & !REVIVING).expect("not zero");
                if word & REVIVING == 0 { Phase::Marking(id) } else { Phase::Reviving(id) }
            }
        }
    }

    pub(crate) fn set(&self, phase: Phase, _world: &WorldStopped<'_>) {
        let word = match phase {
            Phase::Idle => 0,
            Phase::Clearing => 1,
            Phase::Marking(id) => id.get(),
            Phase::Reviving(id) => id.get() | REVIVING,
        };
        // ORDERING: Relaxed: as in `get`.
        self.0.store(word, Ordering::Relaxed);
    }
}
