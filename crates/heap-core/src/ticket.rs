//! [`ActiveSweep`] and [`Ticket`]: a count of the threads that sweep, which tells whether
//! sweeping is over.
//!
//! A sweeper takes a ticket before it looks for spans and gives it back after.
//! A sweeper that finds nothing left to sweep closes the counter: no new tickets are
//! given out, and sweeping is over when the last one is returned. (Go:
//! `activeSweep` in `mgcsweep.go`.)
//!
//! * W1: while a ticket is out, sweeping is not over.
//! * W2: once sweeping is over, no ticket is given out until `reopen`.
//! * W3: when the counter is closed and every ticket was returned, sweeping is
//!   over, and a thread that sees that sees all that the sweepers wrote.
//!
//! Model: `tests/loom_ticket.rs`.

use heap_sync::atomic::{AtomicU32, Ordering};
use heap_sync::mutant;

const DRAINED: u32 = 1 << 31;

/// Counts the sweepers of a cycle.
#[derive(Debug)]
pub(crate) struct ActiveSweep(AtomicU32);

/// The right to sweep. Returned when dropped.
#[derive(Debug)]
#[must_use = "dropping the ticket ends the right to sweep"]
pub struct Ticket<'a>(&'a ActiveSweep);

impl ActiveSweep {
    /// A closed counter: no sweep is under way.
    #[must_use]
    pub(crate) fn closed() -> ActiveSweep {
        ActiveSweep(AtomicU32::new(DRAINED))
    }

    /// Takes a ticket, unless everything is swept.
    pub(crate) fn begin(&self) -> Option<Ticket<'_>> {
        // ORDERING: Relaxed load, checked again by the exchange. AcqRel on
        // success: Acquire sees the clock and lists of `reopen`; Release orders
        // us before a thread that waits for `is_over`.
        // Model: loom_ticket::sweeping_is_not_over_while_a_ticket_is_out.
        mutant!("begins after the end" => {
            self.0.fetch_add(1, Ordering::AcqRel);
            return Some(Ticket(self));
        });
        let mut state = self.0.load(Ordering::Relaxed);
        loop {
            if state & DRAINED != 0 {
                return None;
            }
            match self.0.compare_exchange_weak(
                state,
                state + 1,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(Ticket(self)),
                Err(actual) => state = actual,
            }
        }
    }

    /// Whether every span is swept and every sweeper is done.
    #[must_use]
    pub(crate) fn is_over(&self) -> bool {
        mutant!("forgets tickets" => return self.0.load(Ordering::Acquire) & DRAINED != 0);
        // ORDERING: Acquire pairs with the Release of returning tickets: all
        // that the sweepers wrote is visible.
        self.0.load(Ordering::Acquire) == DRAINED
    }

    /// Tickets that are out. For the verifier.
    #[must_use]
    pub(crate) fn tickets(&self) -> u32 {
        // ORDERING: Relaxed: a number to report, nothing is read by it.
        self.0.load(Ordering::Relaxed) & !DRAINED
    }

    /// Opens the counter for a new cycle, with the world stopped and the previous sweep
    /// over.
    pub(crate) fn reopen(&self) {
        debug_assert!(self.is_over(), "W2: sweeping is over before the next cycle");
        // ORDERING: Release pairs with the Acquire in `begin`.
        self.0.store(0, Ordering::Release);
    }
}

impl Ticket<'_> {
    /// Closes the counter because nothing is left to sweep: no further tickets are given out.
    pub(crate) fn close(&self) {
        // ORDERING: Relaxed: the flag itself carries no data; W1 comes from the
        // count in the same word.
        self.0.0.fetch_or(DRAINED, Ordering::Relaxed);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        // ORDERING: Release pairs with the Acquire in `is_over`.
        let before = self.0.0.fetch_sub(1, Ordering::Release);
        debug_assert!(before & !DRAINED > 0, "W1: more tickets returned than taken");
    }
}

#[cfg(all(test, not(heap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn sweeping_is_over_when_the_last_ticket_returns_after_closing() {
        let active = ActiveSweep::closed();
        assert!(active.is_over() && active.begin().is_none());
        active.reopen();
        let (a, b) = (active.begin().unwrap(), active.begin().unwrap());
        a.close();
        assert!(!active.is_over() && active.begin().is_none());
        drop(a);
        assert!(!active.is_over());
        drop(b);
        assert!(active.is_over());
    }
}

#[cfg(all(test, heap_loom))]
#[path = "tests/loom_ticket.rs"]
mod loom_ticket;
