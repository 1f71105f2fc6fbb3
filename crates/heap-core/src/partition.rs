//! [`Partition`]: the part of a heap that usually one mutator uses.
//!
//! Processors disturb each other also where they share no data: a processor that writes
//! through a span prefetches the lines behind it, and so takes them out of the cache of the
//! processor that writes there. So the pages of a heap are divided into partitions by address,
//! in runs as long as possible. Fresh pages for a mutator come from its partition if there
//! are free ones near the lowest. A span is listed with the partition that its pages belong to,
//! whichever mutator has used it last. A mutator that sweeps spans to allocate from writes
//! bitmaps in memory of its own partition.
//!
//! A partition is a preference, not a right: a mutator that finds nothing in its partition
//! takes from others. Each collection divides the heap anew ([`Partitioning`]), among the
//! mutators that have allocated; a span listed elsewhere moves when it next comes back. Of four
//! partitions with three mutators one is not preferred by any: they share it.
//!
//! Evidence: `docs/decisions/009-partitions-by-address.md`.

use crate::geometry::PAGE_SIZE;

/// The largest number of partitions: a power of two. Further mutators share them.
pub(crate) const PARTITIONS_MAX: usize = 4;

/// Pages of a stripe, in which every partition has a run: half a megabyte.
pub(crate) const STRIPE_PAGES: usize = 64;

const _: () = assert!(PARTITIONS_MAX.is_power_of_two() && PARTITIONS_MAX <= STRIPE_PAGES);

/// The part of the heap that a mutator prefers, and its shard of every list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Partition(usize);

impl Partition {
    /// The partition of the `n`th mutator.
    #[must_use]
    pub fn of_mutator(n: usize) -> Partition {
        Partition(n % PARTITIONS_MAX)
    }

    /// The number of the partition, less than [`PARTITIONS_MAX`].
    #[inline]
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

/// Into how many partitions a heap is divided: a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partitioning(usize);

impl Partitioning {
    /// One partition for each of `n` mutators, rounded up to a power of two and
    /// [`PARTITIONS_MAX`] at most.
    #[must_use]
    pub fn for_mutators(n: usize) -> Partitioning {
        Partitioning(n.clamp(1, PARTITIONS_MAX).next_power_of_two())
    }

    /// As a number, to be kept in an atomic.
    #[must_use]
    pub(crate) fn to_raw(self) -> usize {
        self.0
    }

    /// From a number that [`Partitioning::to_raw`] has returned.
    #[inline]
    #[must_use]
    pub(crate) fn from_raw(raw: usize) -> Partitioning {
        debug_assert!(raw.is_power_of_two() && raw <= PARTITIONS_MAX);
        Partitioning(raw)
    }

    /// The partition that the page at an address belongs to.
    #[inline]
    #[must_use]
    pub fn of_page(self, address: usize) -> Partition {
        Partition(address / PAGE_SIZE % STRIPE_PAGES * self.0 / STRIPE_PAGES)
    }

    /// The partition itself, or another one if the heap has fewer partitions.
    #[inline]
    #[must_use]
    pub(crate) fn nearest(self, partition: Partition) -> Partition {
        Partition(partition.0 % self.0)
    }

    /// The page at which the run of a partition begins in each stripe.
    #[inline]
    #[must_use]
    pub(crate) fn first_page(self, partition: Partition) -> usize {
        self.nearest(partition).0 * STRIPE_PAGES / self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_a_run_in_every_stripe() {
        for (mutators, partitions) in [(0, 1), (1, 1), (2, 2), (3, 4), (4, 4), (100, 4)] {
            let partitioning = Partitioning::for_mutators(mutators);
            assert_eq!(partitioning.to_raw(), partitions);
            for stripe in [0, 7] {
                let owner =
                    |page| partitioning.of_page((stripe * STRIPE_PAGES + page) * PAGE_SIZE).index();
                let owners: Vec<usize> = (0..STRIPE_PAGES).map(owner).collect();
                assert!(owners.is_sorted(), "one run each");
                for n in 0..partitions {
                    let first = partitioning.first_page(Partition::of_mutator(n));
                    assert_eq!(owners.iter().position(|owner| *owner == n), Some(first));
                    assert_eq!(
                        owners.iter().filter(|owner| **owner == n).count(),
                        STRIPE_PAGES / partitions
                    );
                }
            }
        }
    }
}
