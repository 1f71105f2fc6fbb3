//! [`GcConfig`]: how a heap behaves.

use std::num::NonZero;
use std::time::Duration;

/// How a heap behaves.
#[derive(Clone, Debug)]
pub struct GcConfig {
    /// Hard limit on the bytes of pages for objects.
    pub max_heap_bytes: Option<usize>,
    /// Whether bytes that objects own elsewhere count towards the limit.
    pub limit_external: bool,
    /// A heap at its limit that marks more than this many bytes for each byte allocated, several
    /// times in a row, refuses memory. The largest number: it never does.
    pub thrash_ratio: u32,
    /// Growth over the marked bytes before the next collection, in percent.
    pub growth_percent: u32,
    /// No collection is due below this many bytes.
    pub min_heap_bytes: usize,
    /// How many may mark beside the collecting thread: helper threads, and mutators
    /// that are blocked.
    pub mark_threads: usize,
    /// Whether a background thread sweeps.
    pub background_sweep: bool,
    /// How long a stop for marking may be. `None`: what is due of a collection is done in
    /// one.
    pub mark_slice: Option<Duration>,
    /// Collect at every safepoint, poison what is freed.
    pub stress: bool,
    /// Advise huge pages.
    pub huge_pages: bool,
    /// The mean number of bytes between two sample points. `None`: nothing is sampled.
    pub sample_bytes: Option<NonZero<usize>>,
    /// From which the sample points are drawn.
    pub sample_seed: u64,
}

impl Default for GcConfig {
    fn default() -> Self {
        GcConfig {
            max_heap_bytes: None,
            limit_external: false,
            thrash_ratio: 64,
            growth_percent: 175,
            min_heap_bytes: 4 << 20,
            mark_threads: 0,
            background_sweep: false,
            mark_slice: None,
            stress: false,
            huge_pages: true,
            sample_bytes: None,
            sample_seed: 0,
        }
    }
}
