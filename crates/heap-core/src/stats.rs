//! Counters of the memory layer.

mod class_counts;

use std::time::Duration;

use heap_sync::atomic::{AtomicU64, AtomicUsize, Ordering};

pub use class_counts::{ClassCounts, Counted};

/// On whose behalf a span is swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepBy {
    /// An allocation that looked for a span with free slots.
    Allocation,
    /// A mutator paying sweep credit for what it takes.
    Credit,
    /// The background sweeper.
    Background,
    /// The collector, finishing the sweep before a cycle; or a heap at its limit.
    Collector,
}

/// A running total that any thread may add to.
#[derive(Debug, Default)]
pub struct Total(AtomicU64);

impl Total {
    /// Adds.
    pub(crate) fn add(&self, amount: u64) {
        if amount > 0 {
            // ORDERING: Relaxed: a count, read for information.
            self.0.fetch_add(amount, Ordering::Relaxed);
        }
    }

    /// The total.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The sweep of a span is timed if its page number is a multiple of this: reading
/// the clock costs as much as sweeping a small span.
pub(crate) const SWEEP_SAMPLE: usize = 16;

/// What one thread has counted while sweeping and not yet added to the heap's totals:
/// shared counters would cost more than the work they count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Destructors that panicked.
    pub drop_panics: u64,
    /// Spans swept.
    pub spans_swept: u64,
    /// Pages of those.
    pub pages_swept: u64,
    /// Nanoseconds spent on the spans whose sweep was timed.
    pub sampled_sweep_ns: u64,
    /// Spans whose sweep was timed.
    pub sampled_spans: u64,
    /// The longest of those.
    pub sampled_sweep_ns_max: u64,
}

impl core::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.drop_panics += other.drop_panics;
        self.spans_swept += other.spans_swept;
        self.pages_swept += other.pages_swept;
        self.sampled_sweep_ns += other.sampled_sweep_ns;
        self.sampled_spans += other.sampled_spans;
        self.sampled_sweep_ns_max = self.sampled_sweep_ns_max.max(other.sampled_sweep_ns_max);
    }
}

/// Counters of a heap's memory. Objects are counted by kind and size class
/// ([`ClassCounts`]).
#[derive(Debug, Default)]
pub struct CoreStats {
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
    /// Nanoseconds spent on the spans whose sweep was timed: see
    /// [`SWEEP_SAMPLE`].
    pub sampled_sweep_ns: Total,
    /// Spans whose sweep was timed.
    pub sampled_spans: Total,
    /// The longest of those.
    pub sampled_sweep_ns_max: AtomicU64,
    /// Spans swept.
    pub spans_swept: Total,
    /// Bytes of memory given back to the system, except by freeing huge objects.
    pub returned_bytes: Total,
    /// Bytes of pages that spans cover.
    pub in_use_bytes: AtomicUsize,
    /// Bytes of those that are manual spans: stacks.
    pub stack_bytes: AtomicUsize,
    /// The most that `in_use_bytes` has been.
    pub in_use_bytes_max: AtomicUsize,
}

impl CoreStats {
    /// Adds what a thread has counted, its sweeping done on behalf of `by`.
    pub fn add(&self, tally: &mut Tally, by: SweepBy) {
        let tally = core::mem::take(tally);
        if tally.spans_swept > 0 {
            self.drop_panics.add(tally.drop_panics);
            self.spans_swept.add(tally.spans_swept);
            self.pages_swept(by).add(tally.pages_swept);
            self.sampled_sweep_ns.add(tally.sampled_sweep_ns);
            self.sampled_spans.add(tally.sampled_spans);
            self.sampled_sweep_ns_max.fetch_max(tally.sampled_sweep_ns_max, Ordering::Relaxed);
        }
    }

    /// Time spent sweeping on all threads, estimated from the sample.
    #[must_use]
    pub fn sweep_time(&self) -> Duration {
        let sampled = self.sampled_spans.get().max(1);
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
    pub(crate) fn pages_swept(&self, by: SweepBy) -> &Total {
        match by {
            SweepBy::Allocation => &self.pages_swept_by_allocation,
            SweepBy::Credit => &self.pages_swept_by_credit,
            SweepBy::Background => &self.pages_swept_in_background,
            SweepBy::Collector => &self.pages_swept_by_collector,
        }
    }
}
