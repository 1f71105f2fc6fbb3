//! Sweep credit: a mutator pays for a span, before it uses it, by sweeping in
//! proportion. (Go: proportional sweep in `mgcsweep.go`, where it pays before it looks
//! for one. Here the search comes first: what it sweeps counts.)
//!
//! At the start of the sweep phase there is a number of pages to sweep, and a number of bytes that
//! may be allocated before the next collection is due. Their ratio is the price of a byte. So
//! sweeping is over before the next cycle wants to start, and no mutator pays for all of it in one
//! go.
//!
//! * CR1: when `owed` returns zero for a span, `pages swept >= ratio * (bytes
//!   granted + span)`, or everything is swept: a mutator alone is never in debt.
//!   Mutators that pay at the same time do not see each other's spans yet, nor what a
//!   mutator has paid for and not begun to use: so the debt may reach one payment (a
//!   batch of spans) per kind and class of each mutator; the next one to pay clears it.
//!   What a mutator has opened and not counted yet is not seen either; it is bounded (see
//!   `Budget::count_next`). The collector sweeps what is left unpaid.
//! * CR2: the terms change only with the world stopped.

use heap_sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// This part of the distance to the trigger is left free.
pub(crate) const MARGIN: usize = 256;

/// The price of allocation in the current sweep phase.
#[derive(Debug, Default)]
pub(crate) struct SweepCredit {
    /// Pages per byte, as the bits of an `f64`; zero when nothing is owed.
    pages_per_byte: AtomicU64,
    /// Live bytes when the phase began.
    live_basis: AtomicUsize,
}

impl SweepCredit {
    /// Sets the terms: `pages` to sweep before `live` bytes grow to `trigger`.
    /// With the world stopped (CR2).
    pub(crate) fn set_terms(&self, pages: usize, live: usize, trigger: usize) {
        // A little is left free, so that the sweep is over before it must be. Not more: a
        // span that is swept for credit and found empty goes back to the pages, which
        // costs more than reusing it.
        let distance = trigger.saturating_sub(live);
        let distance = (distance - distance / MARGIN).max(1);
        let ratio = pages as f64 / distance as f64;
        // ORDERING: Relaxed: published by leaving the safepoint (CR2).
        self.pages_per_byte.store(ratio.to_bits(), Ordering::Relaxed);
        self.live_basis.store(live, Ordering::Relaxed);
    }

    /// Nothing is owed any more: everything is swept.
    pub(crate) fn settle(&self) {
        self.pages_per_byte.store(0, Ordering::Relaxed);
    }

    /// Bytes that `pages` pages pay for.
    #[must_use]
    pub(crate) fn worth(&self, pages: usize) -> usize {
        let ratio = f64::from_bits(self.pages_per_byte.load(Ordering::Relaxed));
        // Nothing is owed: any number of bytes. (The conversion saturates.)
        (pages as f64 / ratio) as usize
    }

    /// Pages that must still be swept before `span_bytes` may be granted, when
    /// `live` bytes are granted and `swept` pages were swept in this phase.
    #[must_use]
    pub(crate) fn owed(&self, span_bytes: usize, live: usize, swept: usize) -> usize {
        let ratio = f64::from_bits(self.pages_per_byte.load(Ordering::Relaxed));
        if ratio == 0.0 {
            return 0;
        }
        let granted = live.saturating_sub(self.live_basis.load(Ordering::Relaxed)) + span_bytes;
        let target = (ratio * granted as f64).ceil() as usize;
        target.saturating_sub(swept)
    }
}

#[cfg(all(test, not(heap_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paying_for_everything_sweeps_everything_before_the_trigger() {
        let credit = SweepCredit::default();
        let (pages, mut live, trigger, mut swept) = (1000, 8 << 20, 16 << 20, 0);
        credit.set_terms(pages, live, trigger);
        while swept < pages {
            swept += credit.owed(8192, live, swept);
            live += 8192;
            assert!(live < trigger, "the sweep must be over before the trigger");
        }
    }

    #[test]
    fn a_part_of_the_distance_is_free() {
        let credit = SweepCredit::default();
        assert_eq!(credit.worth(1), usize::MAX, "nothing is owed");
        let (pages, live, distance) = (1000, 8 << 20, 4 << 20);
        credit.set_terms(pages, live, live + distance);
        assert_eq!(credit.owed(distance - distance / MARGIN, live, 0), pages);
        // And not much more.
        assert!(credit.owed(distance / 2, live, 0) <= pages / 2 + pages / MARGIN);
        assert_eq!(credit.worth(pages), distance - distance / MARGIN);
    }

    proptest! {
        #[test]
        fn nobody_is_in_debt_after_paying(
            pages in 0usize..1 << 20,
            live in 0usize..1 << (usize::BITS - 1).min(32),
            distance in 0usize..1 << 30,
            grants in proptest::collection::vec(1usize..1 << 22, 1..50),
        ) {
            let credit = SweepCredit::default();
            credit.set_terms(pages, live, live + distance);
            let (mut now, mut swept) = (live, 0);
            for grant in grants {
                swept += credit.owed(grant, now, swept);
                prop_assert_eq!(credit.owed(grant, now, swept), 0, "CR1");
                now += grant;
            }
            credit.settle();
            prop_assert_eq!(credit.owed(1 << 30, now, 0), 0);
        }
    }
}
