//! [`Interrupter`]: stops a script from outside, however busy it is.
//!
//! The interpreter loop looks up from its work when the heap wants a safepoint, and
//! for no other reason. So an interrupt is a flag, and the wish for a collection
//! to have it looked at: a loop that runs undisturbed pays nothing.
//!
//! * I1: once the flag is up, every safepoint of the script raises the error
//!   "interrupted!", in handlers of that very error as well, until it is taken
//!   down. A script can catch the error, but gets no further than to its next call
//!   or turn of a loop.
//! * I2: an interrupt is not lost: whoever finds a collection already wanted relies
//!   on the flag being read after that collection (two fences, Dekker).

use core::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::Arc;

use heap_api::Heap;

/// The flag, as the interpreter sees it.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    flag: Arc<AtomicBool>,
}

impl Interrupt {
    /// Whether the script is to stop. Asked after every safepoint.
    #[must_use]
    pub fn is_up(&self) -> bool {
        // ORDERING: pairs with the fence in `Interrupter::interrupt` (I2).
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
    /// first.
    pub fn interrupt(&self) {
        self.interrupt.flag.store(true, Ordering::Relaxed);
        // ORDERING: pairs with the fence in `Interrupt::is_up` (I2).
        fence(Ordering::SeqCst);
        self.heap.request_collection();
    }

    /// Lets scripts run again.
    pub fn clear(&self) {
        self.interrupt.flag.store(false, Ordering::Relaxed);
    }
}
