//! [`Descriptors`]: what happens when a file cannot be opened because too many are open.
//!
//! Files that a script no longer references stay open until a collection finds them, but a full
//! table of descriptors does not trigger a collection. So each function that opens a file passes
//! its result to [`Descriptors::opened`], which asks for a collection when no descriptor is free.
//!
//! * DE1: a native function that is told [`NoMemory`] runs again after a collection
//!   ([`crate::native`]). The second time it gets the system's error if there still is one.
//! * DE2: the driver has run the destructors of all that the collection found dead, and finalizers,
//!   before the function runs again.

use core::cell::Cell;
use std::io;

use crate::error::NoMemory;

/// Whether the system has refused a descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Supply {
    #[default]
    Enough,
    /// It has, and the function that wanted it is to run again after a collection.
    Short,
    /// It has, and there has been a collection since.
    Collected,
}

/// The state of the process's file descriptors, as far as an interpreter knows it.
#[derive(Debug, Default)]
pub struct Descriptors {
    supply: Cell<Supply>,
}

impl Descriptors {
    /// The result of opening something, for a function that has done nothing else yet.
    ///
    /// # Errors
    ///
    /// If no descriptor is free and a collection may give some back (DE1).
    pub fn opened<T>(&self, result: io::Result<T>) -> Result<io::Result<T>, NoMemory> {
        let is_refused = result.as_ref().is_err_and(is_shortage);
        if is_refused && self.supply.get() != Supply::Collected {
            self.supply.set(Supply::Short);
            return Err(NoMemory);
        }
        self.supply.set(Supply::Enough);
        Ok(result)
    }

    /// Whether a function waits for descriptors.
    #[must_use]
    pub fn are_short(&self) -> bool {
        self.supply.get() == Supply::Short
    }

    /// There has been a collection for the function that waits (DE2).
    pub fn have_been_collected(&self) {
        self.supply.set(Supply::Collected);
    }
}

/// Whether the process or the system has no descriptor left.
fn is_shortage(error: &io::Error) -> bool {
    // POSIX leaves the numbers open, but all systems have taken these.
    const TOO_MANY_IN_SYSTEM: i32 = 23;
    const TOO_MANY_IN_PROCESS: i32 = 24;
    cfg!(unix) && matches!(error.raw_os_error(), Some(TOO_MANY_IN_SYSTEM | TOO_MANY_IN_PROCESS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> io::Result<()> {
        Err(io::Error::from_raw_os_error(24))
    }

    #[test]
    #[cfg(unix)]
    fn a_refusal_is_reported_after_one_collection() {
        let descriptors = Descriptors::default();
        for _ in 0..2 {
            assert_eq!(descriptors.opened(refused()).unwrap_err(), NoMemory);
            assert!(descriptors.are_short());
            // The function has been called again without a collection.
            assert_eq!(descriptors.opened(refused()).unwrap_err(), NoMemory);
            descriptors.have_been_collected();
            assert!(!descriptors.are_short());
            assert_eq!(
                descriptors.opened(refused()).unwrap().unwrap_err().raw_os_error(),
                Some(24)
            );
        }
    }

    #[test]
    fn other_errors_are_reported_at_once() {
        let descriptors = Descriptors::default();
        let missing: io::Result<()> = Err(io::ErrorKind::NotFound.into());
        assert!(descriptors.opened(missing).is_ok_and(|result| result.is_err()));
        assert!(!descriptors.are_short());
    }
}
