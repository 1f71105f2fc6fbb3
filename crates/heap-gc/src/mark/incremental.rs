//! [`IncrementalMark`]: a mark phase between two of its stops.

use std::time::Duration;

use super::marking::Marking;
use crate::pacing::MarkPlan;

/// A collection between two of its stops.
#[derive(Debug)]
pub(crate) struct IncrementalMark {
    pub(crate) marking: Marking,
    pub(crate) plan: MarkPlan,
    /// Time that marking has taken so far.
    pub(crate) mark_time: Duration,
}
