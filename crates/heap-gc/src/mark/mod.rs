//! Marking: parallel, span-at-a-time, with the world stopped.
//!
//! A found object's mark byte turns grey and its *page* is queued, if it is not
//! queued already. A worker that takes a page scans all its grey objects together, so work on
//! neighbours is batched and the queue stays short. ("Span-at-a-time"
//! after Go's Green Tea collector; pages are the unit here because spans of
//! small objects are a page, and larger ones are scanned page by page.)

mod deadline;
mod ephemerons;
mod grey;
mod incremental;
mod job;
mod marking;
mod pieces;
mod pool;
mod queue;
mod scan;
mod termination;
mod worker;

pub(crate) use grey::{MarkCounts, mark_grey, spill};
pub(crate) use incremental::{IncrementalMark, MarkPhase};
pub(crate) use marking::{Marking, Seeds};
pub(crate) use pool::{MarkPool, Watch};
pub(crate) use queue::{Page, push};
pub(crate) use worker::append;
