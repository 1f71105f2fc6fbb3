//! Atomics and a clock for whole-heap simulation: only under `--cfg heap_shuttle`
//! (`scripts/simulate.sh`, docs/design/simulation.md).
//!
//! [shuttle](https://docs.rs/shuttle) runs the threads of a program one at a time on one thread of
//! the system, and asks a scheduler at each *scheduling point* which one goes on. Its locks and
//! threads have such points. Its atomics do not fit here: they are larger than the integers that
//! they stand for, and not all zeroes when they are zero, and the tables of an arena are mapped
//! memory that nobody initialises. So these are `std`'s atomics with a point before each access.
//! Since threads take turns, all accesses are sequentially consistent, whatever ordering they name.
//!
//! * SH1: an atomic has the layout of the integer or pointer, and zeroed memory is a valid one.
//! * SH2: what happens in a simulation depends on its scheduler only: time too is counted, not
//!   measured.

use std::cell::Cell;
use std::fmt;
use std::ops::{Deref, DerefMut, Sub};
use std::time::Duration;

use crate::atomic::Ordering;

/// A scheduling point: another thread may run before this returns.
fn point() {
    // In shuttle's time nothing sleeps long.
    shuttle::thread::sleep(Duration::ZERO);
}

/// A fence, as a scheduling point.
pub fn fence(order: Ordering) {
    point();
    std::sync::atomic::fence(order);
}

macro_rules! atomic {
    ($($name:ident $(<$t:ident>)?, $value:ty;)+) => {$(
        /// The atomic of `std` (SH1), each use of which is a scheduling point.
        #[repr(transparent)]
        pub struct $name $(<$t>)? (std::sync::atomic::$name $(<$t>)?);

        impl $(<$t>)? $name $(<$t>)? {
            /// A new atomic with this value.
            #[must_use]
            pub const fn new(value: $value) -> Self {
                Self(std::sync::atomic::$name::new(value))
            }

            /// The value, of an atomic that nobody else has.
            #[must_use]
            pub fn into_inner(self) -> $value {
                self.0.into_inner()
            }
        }

        impl $(<$t>)? Default for $name $(<$t>)? {
            fn default() -> Self {
                Self(Default::default())
            }
        }

        /// Without a point: people look at it.
        impl $(<$t>)? fmt::Debug for $name $(<$t>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl $(<$t>)? Deref for $name $(<$t>)? {
            type Target = std::sync::atomic::$name $(<$t>)?;
            fn deref(&self) -> &Self::Target {
                point();
                &self.0
            }
        }

        /// Without a point: `&mut` excludes others.
        impl $(<$t>)? DerefMut for $name $(<$t>)? {
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.0
            }
        }
    )+};
}

atomic! {
    AtomicBool, bool;
    AtomicPtr<T>, *mut T;
    AtomicU8, u8;
    AtomicU32, u32;
    AtomicU64, u64;
    AtomicUsize, usize;
}

/// How much time passes when a thread looks at the clock.
const TICK: Duration = Duration::from_micros(10);

thread_local! {
    /// The time: a simulation has one thread of the system.
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// A time on a clock that goes on when it is looked at (SH2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(Duration);

impl Instant {
    /// The time, which is later than all that was read before.
    #[must_use]
    pub fn now() -> Instant {
        NOW.set(NOW.get() + TICK);
        Instant(NOW.get())
    }

    /// The time since then.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Instant::now() - self
    }

    /// This much later, if the clock has such a time.
    #[must_use]
    pub fn checked_add(self, duration: Duration) -> Option<Instant> {
        self.0.checked_add(duration).map(Instant)
    }
}

impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
