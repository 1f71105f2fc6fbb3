//! Pacing: when a collection is due, how long its steps are, how much may be allocated until
//! then, and how sweeping is spread over it.
//!
//! `pacer` and `thrash` are pure arithmetic, `credit` is the price of allocation, and `budget` has
//! the numbers that mutators and the collector share. None of them knows the gate: they say that a
//! step is due, and the heap requests it.

mod budget;
mod credit;
mod pacer;
mod thrash;

pub(crate) use budget::{Budget, MarkPlan};
pub(crate) use pacer::Pacer;

#[cfg(all(test, heap_loom))]
pub(crate) use credit::{MARGIN, SweepCredit};
