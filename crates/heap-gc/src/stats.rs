//! What a heap did so far, for people and for tests.

use std::time::Duration;

/// Counters of a heap. Bytes are bytes of slots unless said otherwise.
///
/// A slot that small pointer-free objects share counts as one object.
///
/// What a mutator has been handed out of a span that it still allocates from is counted
/// when it is done with the span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Collections completed.
    pub collections: u64,
    /// Stops of the world for collections: as many, unless they mark in slices.
    pub steps: u64,
    /// Objects allocated.
    pub allocated_objects: u64,
    /// Bytes allocated.
    pub allocated_bytes: u64,
    /// Objects found dead by sweeping.
    pub freed_objects: u64,
    /// Bytes of those.
    pub freed_bytes: u64,
    /// Objects that the last collection marked (an upper bound with helpers or several
    /// mutators).
    pub marked_objects: u64,
    /// Bytes that the last collection marked (likewise).
    pub marked_bytes: u64,
    /// Bytes granted to mutators and not known to be dead.
    pub live_bytes: u64,
    /// Live bytes at which the next collection is due, or the next step of the one that is
    /// under way.
    pub trigger_bytes: u64,
    /// Bytes of pages that objects and stacks occupy.
    pub heap_bytes: u64,
    /// Bytes of those that stacks occupy, blocks in caches included.
    pub stack_bytes: u64,
    /// The most that `heap_bytes` has been.
    pub heap_bytes_max: u64,
    /// Bytes of address space reserved: pages in use, idle and
    /// released ones, and the heads of arenas.
    pub reserved_bytes: u64,
    /// Bytes of free pages that have memory behind them.
    pub idle_bytes: u64,
    /// Bytes of free pages that have none.
    pub released_bytes: u64,
    /// Bytes given back to the system so far, other than by freeing objects
    /// that are larger than an arena.
    pub returned_bytes: u64,
    /// Bytes of the heap's own tables: heads of arenas (address space, most of it
    /// without memory behind it), records and bitmaps.
    pub metadata_bytes: u64,
    /// Time spent marking.
    pub mark_time: Duration,
    /// The longest marking in one stop.
    pub mark_time_max: Duration,
    /// Time for which the world was stopped.
    pub pause_time: Duration,
    /// The longest stop.
    pub pause_time_max: Duration,
    /// Time from the wish to stop the world until it stood.
    pub stop_time: Duration,
    /// The longest of those.
    pub stop_time_max: Duration,
    /// Time spent sweeping, on all threads; estimated from a sample of spans.
    pub sweep_time: Duration,
    /// The longest sweep of one span in that sample.
    pub sweep_time_max: Duration,
    /// Pages swept by allocation.
    pub pages_swept_by_allocation: u64,
    /// Pages swept to pay sweep credit.
    pub pages_swept_by_credit: u64,
    /// Pages swept in the background.
    pub pages_swept_in_background: u64,
    /// Pages swept by a collector before its cycle, or at the limit.
    pub pages_swept_by_collector: u64,
    /// Destructors of heap objects that panicked.
    pub drop_panics: u64,
    /// Owned roots at present, clones included. They are counted for this, one by one.
    pub roots: u64,
    /// Bytes that objects own elsewhere, as they were charged.
    pub external_bytes: u64,
    /// Bytes of pages that may hold dead objects whose destructors have not run.
    pub undropped_bytes: u64,
}

/// The collector's own counters, changed under the collector's right only.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CycleStats {
    pub(crate) collections: u64,
    pub(crate) steps: u64,
    pub(crate) marked_objects: u64,
    pub(crate) marked_bytes: u64,
    /// Of those, what is not only marked because it was new.
    pub(crate) traced_bytes: usize,
    pub(crate) mark_time: Spent,
    pub(crate) pause_time: Spent,
    pub(crate) stop_time: Spent,
}

/// A total and a maximum.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) total: Duration,
    pub(crate) max: Duration,
}

impl Spent {
    pub(crate) fn add(&mut self, time: Duration) {
        self.total += time;
        self.max = self.max.max(time);
    }
}
