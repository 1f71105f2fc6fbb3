//! [`Interrupter`]: stops a script from outside, however busy it is.
//!
//! The interpreter loop looks up from its work when the heap wants a safepoint, and
//! for no other reason. So an interrupt is a flag, and the wish for a collection
//! to have it looked at: a loop that runs undisturbed pays nothing.
//!
//! * IN1: once the flag is up, every safepoint of the script raises the error
//!   "interrupted!", in handlers of that very error as well, until it is taken
//!   down. A script can catch the error, but gets no further than to its next call
//!   or turn of a loop.
//! * IN2: an interrupt is not lost. A collection withdraws the wish, and an
//!   [`Interrupter`] that finds one already wanted relies on the flag being read afterwards
//!   (two fences, Dekker).
//!   So it is read after everything that may have collected, or waited for one:
//!   entering the heap, a safepoint, a collection that the interpreter makes itself.

use core::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::Arc;

use heap_api::Heap;

/// The error that stops a script.
pub(crate) const INTERRUPTED: &str = "interrupted!";

/// The flag, as the interpreter sees it.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    flag: Arc<AtomicBool>,
}

impl Interrupt {
    /// Whether the script is to stop. Asked after every collection (IN2).
    #[must_use]
    pub fn is_up(&self) -> bool {
        // ORDERING: pairs with the fence in `Interrupter::interrupt` (IN2).
        fence(Ordering::SeqCst);
        self.flag.load(Ordering::Relaxed)
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
        self.interrupt.flag.store(true, Ordering::Relaxed);
        // ORDERING: pairs with the fence in `Interrupt::is_up` (IN2).
        fence(Ordering::SeqCst);
        self.heap.request_collection();
    }

    /// Lets scripts run again.
    pub fn clear(&self) {
        self.interrupt.flag.store(false, Ordering::Relaxed);
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
