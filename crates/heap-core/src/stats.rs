//! Counters of the memory layer.

use std::time::Duration;

use heap_sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Who asked for a span to be swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepBy {
    /// An allocation that looked for a span with free slots.
    Allocation,
    /// A mutator paying sweep credit before it takes a span.
    Credit,
    /// The background sweeper.
    Background,
    /// The collector, finishing up before a cycle; or a heap at its limit.
    Collector,
}

/// A running total that any thread may add to.
#[derive(Debug, Default)]
pub struct Total(AtomicU64);

impl Total {
    /// Adds.
    pub fn add(&self, amount: usize) {
        // ORDERING: Relaxed: a count, read for information.
        self.next(amount);
    }

    /// Adds, and returns the total before.
    pub fn next(&self, amount: usize) -> u64 {
        self.0.fetch_add(amount as u64, Ordering::Relaxed)
    }

    /// The total.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The sweep of one span in so many is timed: reading the clock costs as much as
/// sweeping a small span.
pub const SWEEP_SAMPLE: u64 = 16;

/// Counters of a heap's memory.
#[derive(Debug, Default)]
pub struct CoreStats {
    /// Objects handed out.
    pub allocated_objects: Total,
    /// Bytes of the slots handed out.
    pub allocated_bytes: Total,
    /// Objects found dead by sweeping.
    pub freed_objects: Total,
    /// Bytes of their slots.
    pub freed_bytes: Total,
    /// Destructors that panicked.
    pub drop_panics: Total,
    /// Pages swept by allocation.
    pub pages_swept_by_allocation: Total,
    /// Pages swept to pay sweep credit.
    pub pages_swept_by_credit: Total,
    /// Pages swept in the background.
    pub pages_swept_in_background: Total,
    /// Pages swept by the collector before a cycle, or at the limit.
    pub pages_swept_by_collector: Total,
    /// Nanoseconds spent on the spans whose sweep was timed: one in
    /// [`SWEEP_SAMPLE`].
    pub sampled_sweep_ns: Total,
    /// The longest of those.
    pub sampled_sweep_ns_max: AtomicU64,
    /// Spans swept.
    pub spans_swept: Total,
    /// Bytes of address space reserved.
    pub reserved_bytes: AtomicUsize,
    /// Bytes of pages that spans cover, now and at most.
    pub in_use_bytes: AtomicUsize,
    /// The most that `in_use_bytes` has been.
    pub in_use_bytes_max: AtomicUsize,
}

impl CoreStats {
    /// Time spent sweeping on all threads, estimated from the sample.
    #[must_use]
    pub fn sweep_time(&self) -> Duration {
        let sampled = self.spans_swept.get().div_ceil(SWEEP_SAMPLE).max(1);
        let per_span = self.sampled_sweep_ns.get() as f64 / sampled as f64;
        Duration::from_nanos((per_span * self.spans_swept.get() as f64) as u64)
    }

    /// The longest sweep of one span in the sample.
    #[must_use]
    pub fn sweep_time_max(&self) -> Duration {
        Duration::from_nanos(self.sampled_sweep_ns_max.load(Ordering::Relaxed))
    }

    /// The counter for pages swept on behalf of `by`.
    #[must_use]
    pub fn pages_swept(&self, by: SweepBy) -> &Total {
        match by {
            SweepBy::Allocation => &self.pages_swept_by_allocation,
            SweepBy::Credit => &self.pages_swept_by_credit,
            SweepBy::Background => &self.pages_swept_in_background,
            SweepBy::Collector => &self.pages_swept_by_collector,
        }
    }
}
