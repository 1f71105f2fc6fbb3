//! [`SimOs`]: the real system with faults injected, for tests.

use core::ptr::NonNull;

use heap_sync::lock::{Arc, Mutex};

use super::{Decommit, Os, Reservation, SystemOs};

/// The calls to a [`SimOs`] that fail from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failure {
    /// No call fails.
    #[default]
    Never,
    /// The `n`-th call from now, counted from 0, and no other.
    Nth(u64),
    /// A random share of the calls, the same for the same seed.
    Random {
        /// Seed of the sequence.
        seed: u64,
        /// The number of calls in a thousand that fail, on average.
        per_mille: u32,
    },
    /// All calls fail.
    Always,
}

#[derive(Debug, Default)]
struct State {
    failure: Failure,
    calls: u64,
    failed: u64,
    reserved: usize,
    cap: Option<usize>,
    offers: bool,
}

impl State {
    /// Counts a call; says whether it fails.
    fn fails(&mut self) -> bool {
        self.calls += 1;
        let fails = match &mut self.failure {
            Failure::Never => false,
            Failure::Always => true,
            Failure::Nth(0) => {
                self.failure = Failure::Never;
                true
            }
            Failure::Nth(left) => {
                *left -= 1;
                false
            }
            Failure::Random { seed, per_mille } => {
                // SplitMix64.
                *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mut z = *seed;
                z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                (z ^ (z >> 31)) % 1000 < u64::from(*per_mille)
            }
        };
        self.failed += u64::from(fails);
        fails
    }
}

/// The real system with faults injected, for tests. The memory is real, so that objects can
/// be used, but any call can be made to fail, and the address space can be limited.
///
/// A clone is the same system: give one to the heap and keep one.
#[derive(Clone, Debug, Default)]
pub struct SimOs {
    state: Arc<Mutex<State>>,
}

impl SimOs {
    /// A system without faults and without a limit on address space.
    #[must_use]
    pub fn new() -> SimOs {
        SimOs::default()
    }

    /// Sets which calls fail from now on.
    pub fn set_failure(&self, failure: Failure) {
        self.state.lock().failure = failure;
    }

    /// Limits the address space, in bytes, that may be reserved at a time; `None` removes the
    /// limit.
    pub fn set_cap(&self, bytes: Option<usize>) {
        self.state.lock().cap = bytes;
    }

    /// Makes `decommit` answer [`Decommit::Offered`] and keep the contents.
    pub fn set_offers(&self, on: bool) {
        self.state.lock().offers = on;
    }

    /// The number of calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state.lock().calls
    }

    /// The number of calls that failed on purpose so far.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.state.lock().failed
    }

    /// Bytes reserved at present.
    #[must_use]
    pub fn reserved(&self) -> usize {
        self.state.lock().reserved
    }
}

// SAFETY: the real system, or refusals.
unsafe impl Os for SimOs {
    fn reserve(&self, bytes: usize, align: usize) -> Option<Reservation> {
        let mut state = self.state.lock();
        if state.fails() {
            return None;
        }
        let after = state.reserved.checked_add(bytes)?;
        if state.cap.is_some_and(|cap| after > cap) {
            state.failed += 1;
            return None;
        }
        let mut reservation = SystemOs.reserve(bytes, align)?;
        state.reserved = after;
        reservation.lease = Some(Lease { state: Arc::clone(&self.state), bytes });
        Some(reservation)
    }

    fn advise_huge(&self, reservation: &Reservation, from: NonNull<u8>, bytes: usize) {
        if !self.state.lock().fails() {
            SystemOs.advise_huge(reservation, from, bytes);
        }
    }

    fn advise_small(&self, reservation: &Reservation, from: NonNull<u8>, bytes: usize) {
        if !self.state.lock().fails() {
            SystemOs.advise_small(reservation, from, bytes);
        }
    }

    unsafe fn decommit(
        &self,
        reservation: &Reservation,
        from: NonNull<u8>,
        bytes: usize,
    ) -> Decommit {
        let mut state = self.state.lock();
        if state.fails() {
            Decommit::Refused
        } else if state.offers {
            Decommit::Offered
        } else {
            drop(state);
            // SAFETY: forwarded from the caller.
            unsafe { SystemOs.decommit(reservation, from, bytes) }
        }
    }
}

/// Address space of a [`SimOs`], returned when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    state: Arc<Mutex<State>>,
    bytes: usize,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.state.lock().reserved -= self.bytes;
    }
}
