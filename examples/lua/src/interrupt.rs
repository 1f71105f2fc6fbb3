//! [`Interrupter`]: stops a script from outside, however busy it is.
//!
//! The interpreter loop polls only for the heap's request for a safepoint. So an interrupt is a
//! flag, and a request for a collection that makes the interpreter look at the flag: a loop that is
//! not interrupted pays nothing.
//!
//! * IN1: once the flag is up, every safepoint of the script raises the error
//!   "interrupted!", in handlers of that very error as well, until it is taken
//!   down. A script can catch the error, but gets no further than to its next call
//!   or turn of a loop.
//! * IN2: an interrupt is not lost. A collection withdraws the request, and an [`Interrupter`] that
//!   finds a collection already requested relies on the flag being read afterwards (two fences,
//!   Dekker). So the flag is read after everything that may have collected, or waited for a
//!   collection: entering the heap, a safepoint, a collection that the interpreter makes itself.

use core::sync::atomic::{AtomicU8, Ordering, fence};
use std::sync::Arc;

use heap_api::Heap;

use crate::limits::Limit;

/// The sources of an interrupt: bits of the flag.
const HOST: u8 = 1;
const TIMER: u8 = 2;
/// As `HOST`, but taken down once a script has got the error.
const HOST_ONCE: u8 = 4;

/// The flag, as the interpreter sees it.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    flag: Arc<AtomicU8>,
}

impl Interrupt {
    /// Whether the script is to stop. Asked after every collection (IN2).
    #[must_use]
    pub fn is_up(&self) -> bool {
        // ORDERING: pairs with the fence in `Interrupter::interrupt` (IN2).
        fence(Ordering::SeqCst);
        self.flag.load(Ordering::Relaxed) != 0
    }

    /// Which limit the script that is to stop has met.
    #[must_use]
    pub fn limit(&self) -> Limit {
        // ORDERING: the flag alone matters; `is_up` has seen it.
        if self.flag.load(Ordering::Relaxed) & TIMER != 0 { Limit::Time } else { Limit::Interrupt }
    }

    /// The script has been told to stop.
    pub fn was_told(&self) {
        // ORDERING: as for `Interrupter::clear`.
        self.flag.fetch_and(!HOST_ONCE, Ordering::Relaxed);
    }

    /// A handle for other threads.
    #[must_use]
    pub fn interrupter(&self, heap: &Heap) -> Interrupter {
        Interrupter { interrupt: self.clone(), heap: heap.clone() }
    }
}

/// Stops the scripts of one interpreter, from any thread. See
/// [`Interpreter::interrupter`](crate::Interpreter::interrupter).
#[derive(Clone, Debug)]
pub struct Interrupter {
    interrupt: Interrupt,
    heap: Heap,
}

impl Interrupter {
    /// Makes the running script, and every one started before [`Interrupter::clear`], fail with
    /// "interrupted!" at its next call or turn of a loop. A native function that is at work ends
    /// first, unless the script has it walk through a table or match a pattern: what remains is
    /// bounded by the length of strings.
    pub fn interrupt(&self) {
        self.raise(HOST);
    }

    /// As [`Interrupter::interrupt`], but a script that catches the error goes on. This is what
    /// Ctrl-C does.
    pub fn interrupt_once(&self) {
        self.raise(HOST_ONCE);
    }

    fn raise(&self, who: u8) {
        self.interrupt.flag.fetch_or(who, Ordering::Relaxed);
        // ORDERING: pairs with the fence in `Interrupt::is_up` (IN2).
        fence(Ordering::SeqCst);
        self.heap.request_collection();
    }

    /// Lets scripts run again.
    pub fn clear(&self) {
        // ORDERING: a script that sees it late stops once more, as if it had been in time.
        self.interrupt.flag.fetch_and(!HOST, Ordering::Relaxed);
    }

    /// For the timer: whether the running script has used up its time.
    pub(crate) fn set_out_of_time(&self, is_out_of_time: bool) {
        if is_out_of_time {
            self.raise(TIMER);
        } else {
            // ORDERING: the thread that runs scripts clears it, between two of them.
            self.interrupt.flag.fetch_and(!TIMER, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, Interpreter};

    #[test]
    fn a_collection_of_the_interpreters_own_does_not_withdraw_an_interrupt() {
        let mut lua = Interpreter::new(Config::new()).unwrap();
        let interrupter = lua.interrupter();
        lua.with(|runner| {
            assert!(!runner.cx.should_yield());
            interrupter.interrupt();
            runner.collect();
            assert!(runner.cx.should_yield(), "IN2");
            interrupter.clear();
            runner.collect();
            assert!(!runner.cx.should_yield(), "nothing is wished for any more");
        });
    }

    #[test]
    fn an_interrupt_for_once_can_be_caught() {
        let mut lua = Interpreter::new(Config::new()).unwrap();
        let interrupter = lua.interrupter();
        lua.register("stop", move |call| {
            interrupter.interrupt_once();
            call.ret_none()
        })
        .unwrap();
        let source = "assert(not pcall(function() stop() while true do end end))
                      for i = 1, 1e6 do end";
        lua.run_source(source, "=script", &[]).unwrap();
    }

    #[test]
    fn an_interrupt_between_two_scripts_outlives_collections() {
        let mut lua = Interpreter::new(Config::new()).unwrap();
        let interrupter = lua.interrupter();
        interrupter.interrupt();
        lua.heap().enter().collect();
        let error = lua.run_source("for i = 1, 1e6 do end", "=script", &[]).unwrap_err();
        assert!(error.to_string().starts_with("script:1: interrupted!"), "{error}");
        interrupter.clear();
        lua.run_source("for i = 1, 1e6 do end", "=script", &[]).unwrap();
    }
}
