//! [`Home`]: the part of a heap that a mutator has to itself as a rule.
//!
//! Processors get in each other's way in more places than they share data: a processor
//! that writes its way through a span fetches the lines behind it ahead of time, and so
//! takes them out of the cache of whoever writes there. So the pages of a heap are
//! divided into homes by address, in runs as long as possible; fresh pages for a
//! mutator come from its home if there are free ones near the lowest; a span is listed
//! with the home that its pages belong to, whoever has used it last; and who sweeps spans
//! to allocate from writes bitmaps in memory of their own home.
//!
//! A home is a preference, not a right: who finds nothing at home takes what others have.
//! Each collection divides the heap anew ([`Homes`]), among the mutators that have allocated;
//! a span listed elsewhere moves when it next comes back. Of four homes of three mutators
//! one is nobody's: they share it.
//!
//! Evidence: `docs/decisions/009-homes-by-address.md`.

use crate::geometry::PAGE_SIZE;

/// Homes there can be at most: a power of two. Further mutators share them.
pub const HOMES_MAX: usize = 4;

/// Pages in which every home has a run: half a megabyte.
pub(crate) const STRIPE_PAGES: usize = 64;

const _: () = assert!(HOMES_MAX.is_power_of_two() && HOMES_MAX <= STRIPE_PAGES);

/// The part of the heap that a mutator prefers, and its shard of every list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Home(usize);

impl Home {
    /// The home of the `n`th mutator.
    #[must_use]
    pub fn of_mutator(n: usize) -> Home {
        Home(n % HOMES_MAX)
    }

    /// The number of the home, less than [`HOMES_MAX`].
    #[inline]
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

/// Into how many homes a heap is divided: a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Homes(usize);

impl Homes {
    /// Enough for so many mutators, as far as there are.
    #[must_use]
    pub fn for_mutators(n: usize) -> Homes {
        Homes(n.clamp(1, HOMES_MAX).next_power_of_two())
    }

    /// As a number, to be kept in an atomic.
    #[must_use]
    pub(crate) fn to_raw(self) -> usize {
        self.0
    }

    /// What [`Homes::to_raw`] has returned.
    #[inline]
    #[must_use]
    pub(crate) fn from_raw(raw: usize) -> Homes {
        debug_assert!(raw.is_power_of_two() && raw <= HOMES_MAX);
        Homes(raw)
    }

    /// The home that the page at an address belongs to.
    #[inline]
    #[must_use]
    pub fn of_page(self, address: usize) -> Home {
        Home(address / PAGE_SIZE % STRIPE_PAGES * self.0 / STRIPE_PAGES)
    }

    /// The home itself, or somebody else's for a mutator whose home is not there.
    #[inline]
    #[must_use]
    pub(crate) fn nearest(self, home: Home) -> Home {
        Home(home.0 % self.0)
    }

    /// Where the run of a home begins in each stripe, in pages.
    #[inline]
    #[must_use]
    pub fn first_page(self, home: Home) -> usize {
        self.nearest(home).0 * STRIPE_PAGES / self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_home_has_a_run_in_every_stripe() {
        for (mutators, homes) in [(0, 1), (1, 1), (2, 2), (3, 4), (4, 4), (100, 4)] {
            let homes_there = Homes::for_mutators(mutators);
            assert_eq!(homes_there.to_raw(), homes);
            for stripe in [0, 7] {
                let owner =
                    |page| homes_there.of_page((stripe * STRIPE_PAGES + page) * PAGE_SIZE).index();
                let owners: Vec<usize> = (0..STRIPE_PAGES).map(owner).collect();
                assert!(owners.is_sorted(), "one run each");
                for n in 0..homes {
                    let first = homes_there.first_page(Home::of_mutator(n));
                    assert_eq!(owners.iter().position(|owner| *owner == n), Some(first));
                    assert_eq!(
                        owners.iter().filter(|owner| **owner == n).count(),
                        STRIPE_PAGES / homes
                    );
                }
            }
        }
    }
}
