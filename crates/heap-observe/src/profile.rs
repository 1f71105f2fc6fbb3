//! [`AllocationProfile`]: where a heap's objects were allocated, estimated from samples.
//!
//! About one byte in `sample_bytes` is a sample point, and an object whose slot has one is sampled.
//! A slot of `n` bytes is sampled with the probability `1 - exp(-n / sample_bytes)`, so each sample
//! stands for as many objects as the inverse of that probability. (Go: `scaleHeapSample` in
//! `pprof/protomem.go`.)

use std::sync::Arc;

/// Where the objects of a heap were allocated: one row for each combination of a stack trace, a type
/// and a slot size. The figures are estimates, unbiased for each row; if everything was sampled
/// (`sample_bytes` is 1) they are exact.
///
/// [`write_pprof`](AllocationProfile::write_pprof) writes it as a file for `go tool pprof`.
///
/// ```
/// use heap_observe::{AllocationProfile, AllocationSite, Frame, SampleCount};
///
/// let mut profile = AllocationProfile::new(512 << 10);
/// profile.sites.push(AllocationSite {
///     type_name: "Node".into(),
///     slot_bytes: 32,
///     frames: vec![Frame {
///         function: "build".into(),
///         file: "tree.lua".into(),
///         line: 12,
///         first_line: 10,
///     }],
///     allocated: profile.count(32, 10),
///     live: profile.count(32, 2),
/// });
/// assert_eq!(profile.live_bytes(), 1_048_608);
/// let mut file = Vec::new();
/// profile.write_pprof(&mut file)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllocationProfile {
    /// The mean number of bytes between two sample points.
    pub sample_bytes: u64,
    /// Samples that were lost because the system had no memory; the sites do not count them.
    pub lost_samples: u64,
    /// The rows, in the order in which they were first sampled.
    pub sites: Vec<AllocationSite>,
}

/// The estimates from the samples that share a stack trace, a type and a slot size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocationSite {
    /// The type of the objects, as the class histogram names it.
    pub type_name: Arc<str>,
    /// Bytes of the slot of each object; for an object with pages of its own, of all these pages.
    pub slot_bytes: u64,
    /// The stack of the program's language at the allocation, the innermost frame first; empty
    /// if no stack was taken.
    pub frames: Vec<Frame>,
    /// Allocated since the heap was made.
    pub allocated: SampleCount,
    /// Allocated and found alive by the last completed collection.
    pub live: SampleCount,
}

/// A frame of a stack trace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// The name of the function.
    pub function: Arc<str>,
    /// The file it is in; may be empty.
    pub file: Arc<str>,
    /// The line that it was executing; 0 if there is none.
    pub line: u32,
    /// The line on which the function begins; 0 if it is not known.
    pub first_line: u32,
}

/// A number of samples, and the objects and bytes that they stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampleCount {
    /// Samples.
    pub samples: u64,
    /// Estimated objects.
    pub objects: u64,
    /// Estimated bytes of their slots.
    pub bytes: u64,
}

impl AllocationProfile {
    /// A profile without sites, of a heap with a sample point every `sample_bytes` on average.
    #[must_use]
    pub fn new(sample_bytes: u64) -> AllocationProfile {
        AllocationProfile { sample_bytes, ..AllocationProfile::default() }
    }

    /// What `samples` of objects in slots of `slot_bytes` stand for.
    #[must_use]
    pub fn count(&self, slot_bytes: u64, samples: u64) -> SampleCount {
        let weight = self.weight(slot_bytes);
        let objects = (samples as f64 * weight).round() as u64;
        let bytes = (samples as f64 * slot_bytes as f64 * weight).round() as u64;
        SampleCount { samples, objects, bytes }
    }

    /// Estimated bytes of all objects that the last completed collection has found alive.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.sites.iter().fold(0, |sum, site| sum.saturating_add(site.live.bytes))
    }

    /// Estimated bytes of all objects that were allocated since the heap was made.
    #[must_use]
    pub fn allocated_bytes(&self) -> u64 {
        self.sites.iter().fold(0, |sum, site| sum.saturating_add(site.allocated.bytes))
    }

    /// The number of objects that one sample of a slot of this size stands for.
    fn weight(&self, slot_bytes: u64) -> f64 {
        if self.sample_bytes <= 1 {
            return 1.0;
        }
        // Not `1 - exp(-x)`, which would lose most of its digits for small slots.
        let probability = -(-(slot_bytes as f64) / self.sample_bytes as f64).exp_m1();
        1.0 / probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_for_the_inverse_of_their_probability() {
        let everything = AllocationProfile::new(1);
        assert_eq!(everything.count(8, 7), SampleCount { samples: 7, objects: 7, bytes: 56 });
        let profile = AllocationProfile::new(1000);
        // 1 / (1 - 1/e)
        assert_eq!(profile.count(1000, 1000).objects, 1582);
        assert_eq!(profile.count(1000, 1000).bytes, 1_581_977);
        // A slot that is much smaller than the gap stands for a gap, one that is much larger for
        // itself.
        assert_eq!(profile.count(1, 1).bytes, 1001);
        assert_eq!(profile.count(1 << 40, 3).objects, 3);
    }
}
