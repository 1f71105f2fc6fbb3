//! [`IncrementalMark`]: a mark phase between two of its stops.

use std::time::Duration;

use super::marking::Marking;
use crate::pacing::MarkPlan;

/// A collection between two of its stops.
#[derive(Debug)]
pub(crate) struct IncrementalMark {
    pub(crate) marking: Marking,
    pub(crate) phase: MarkPhase,
    pub(crate) plan: MarkPlan,
    /// Time that marking has taken so far.
    pub(crate) mark_time: Duration,
}

/// What is to be done before the sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MarkPhase {
    /// Objects are marked and traced.
    Trace,
    /// All is marked that can be reached without finalizers; weak handles to the rest are cleared
    /// (WH3).
    ClearHandles,
    /// Objects with finalizers are searched for dead ones (FI4).
    FindFinalizable,
    /// These, and what they lead to, are marked and traced.
    Revive,
    /// All that can be reached is marked; weak tables and ephemerons forget the rest (I1).
    Clear,
    /// Nothing is left to do.
    Done,
}
