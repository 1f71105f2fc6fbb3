//! [`SafepointTimes`]: how long safepoints have kept mutators from their work, as a histogram.
//!
//! What a mutator waits for at a safepoint is not only a stop of the world: it also waits for a
//! stop that another thread makes, sweeps, runs destructors, gives memory back. All of it is in
//! here, once for each safepoint at which something was to be done, and for each collection or step
//! that the program asked for.
//!
//! Times are counted in buckets, eight for each power of two: no bucket is wider than an eighth of
//! its times. (As in HdrHistogram, in thirty lines; a crate for it would be a dependency of every
//! embedder.)
//!
//! Any mutator adds, any thread reads; counters are relaxed.

use std::time::Duration;

use heap_sync::atomic::{AtomicU64, Ordering};

/// Buckets for each power of two.
const SUBS: usize = 8;
const SUBS_LOG: u32 = SUBS.trailing_zeros();
/// The first bucket has times below this many nanoseconds: shorter ones are not worth telling apart.
const UNIT_NS_LOG: u32 = 7;
/// The last has those from about 19 minutes on.
const BUCKETS: usize = 34 * SUBS;

/// The bucket of a time.
fn bucket_of(nanoseconds: u64) -> usize {
    let units = nanoseconds >> UNIT_NS_LOG;
    let octave = (u64::BITS - units.leading_zeros()).saturating_sub(SUBS_LOG + 1);
    let sub = (units >> octave) as usize;
    (octave as usize * SUBS + sub).min(BUCKETS - 1)
}

/// The first time that is in none of the buckets up to this one.
fn end_of(bucket: usize) -> u64 {
    let octave = (bucket / SUBS).saturating_sub(1);
    let sub = bucket - octave * SUBS;
    (sub as u64 + 1) << octave << UNIT_NS_LOG
}

/// The counters of one heap.
#[derive(Debug)]
pub(crate) struct Recorder {
    counts: [AtomicU64; BUCKETS],
    total_ns: AtomicU64,
    max_ns: AtomicU64,
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            total_ns: AtomicU64::new(0),
            max_ns: AtomicU64::new(0),
        }
    }
}

impl Recorder {
    /// Adds a time.
    pub(crate) fn add(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // ORDERING: Relaxed, here and below: statistics.
        self.counts[bucket_of(nanoseconds)].fetch_add(1, Ordering::Relaxed);
        self.total_ns.fetch_add(nanoseconds, Ordering::Relaxed);
        self.max_ns.fetch_max(nanoseconds, Ordering::Relaxed);
    }

    /// What was added so far.
    pub(crate) fn read(&self) -> SafepointTimes {
        SafepointTimes {
            counts: self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            total: Duration::from_nanos(self.total_ns.load(Ordering::Relaxed)),
            max: Duration::from_nanos(self.max_ns.load(Ordering::Relaxed)),
        }
    }
}

/// How long safepoints have kept mutators from their work, up to a moment. A safepoint at which
/// nothing was to be done does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafepointTimes {
    counts: Vec<u64>,
    total: Duration,
    max: Duration,
}

impl SafepointTimes {
    /// Number of safepoints.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All their time.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.total
    }

    /// The longest.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.max
    }

    /// A time that this part of the safepoints did not exceed, at most an eighth above the
    /// shortest such time: the median for 0.5, the longest for 1. Zero if there were none.
    ///
    /// # Panics
    ///
    /// If `part` is not between 0 and 1.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Duration {
        assert!((0.0..=1.0).contains(&part), "no such part: {part}");
        let wanted = (part * self.count() as f64).ceil() as u64;
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            *count > 0 && seen >= wanted
        });
        bucket.map_or(Duration::ZERO, |bucket| Duration::from_nanos(end_of(bucket)).min(self.max))
    }

    /// The buckets with safepoints in them: a time that these safepoints stayed below, and how many
    /// they are. From the shortest to the longest; the last bucket has all that are longer.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        let buckets = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        buckets.map(|(bucket, count)| (Duration::from_nanos(end_of(bucket)), *count))
    }
}

#[cfg(all(test, not(heap_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_are_in_order_and_narrow() {
        for bucket in 1..BUCKETS {
            let (start, end) = (end_of(bucket - 1), end_of(bucket));
            assert!(start < end && end - start <= (start / SUBS as u64).max(1 << UNIT_NS_LOG));
            assert_eq!((bucket_of(start), bucket_of(end - 1)), (bucket, bucket));
        }
        assert_eq!((bucket_of(0), bucket_of(u64::MAX)), (0, BUCKETS - 1));
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_times(
            times in prop::collection::vec((0..40_u32).prop_flat_map(|bits| 0..1_u64 << bits), 1..200),
            part in 0.0..=1.0_f64,
        ) {
            let recorder = Recorder::default();
            let mut sorted = times.clone();
            sorted.sort_unstable();
            times.iter().for_each(|time| recorder.add(Duration::from_nanos(*time)));
            let read = recorder.read();
            let rank = ((part * times.len() as f64).ceil() as usize).max(1) - 1;
            let (exact, found) = (sorted[rank], read.quantile(part).as_nanos() as u64);
            prop_assert!(found >= exact, "{found} for {exact}");
            prop_assert!(found <= exact + (exact / SUBS as u64).max(1 << UNIT_NS_LOG), "{found} for {exact}");
            prop_assert_eq!(read.count(), times.len() as u64);
            prop_assert_eq!(read.max().as_nanos() as u64, *sorted.last().unwrap());
            prop_assert_eq!(read.total().as_nanos() as u64, times.iter().sum::<u64>());
            prop_assert_eq!(read.buckets().map(|(_, count)| count).sum::<u64>(), times.len() as u64);
        }
    }
}
