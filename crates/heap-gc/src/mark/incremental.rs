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
    /// All that can be reached is marked; weak tables forget the rest (I1).
    Clear,
    /// Nothing is left to do.
    Done,
}
