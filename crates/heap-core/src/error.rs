//! The errors of the memory layer: memory was refused, or a check found a broken invariant.

use core::fmt;

/// Why an allocation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfMemory {
    /// The heap's own limit. A collection may make room.
    Limit,
    /// The heap's own limit, again: there is hardly any room below it, so that nearly all time
    /// would go into collecting. A collection has just been made; another one would make no room,
    /// unless the program lets go of objects first.
    Thrashing,
    /// The operating system refused memory or address space.
    System,
    /// No heap could hold an object of this size.
    TooLarge,
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OutOfMemory::Limit => "the heap's memory limit is reached",
            OutOfMemory::Thrashing => "the heap is nearly full, and collects all the time",
            OutOfMemory::System => "the system has no more memory",
            OutOfMemory::TooLarge => "the object is too large for any heap",
        })
    }
}

impl std::error::Error for OutOfMemory {}

/// An invariant of the heap's own structures that does not hold: a fault of this library, or
/// memory that unsafe code has overwritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyError {
    /// The invariant's id, such as `S1`: `docs/verification.md` lists them.
    pub invariant: &'static str,
    /// What was found, and where: for people.
    pub message: String,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.message)
    }
}

impl std::error::Error for VerifyError {}

/// Returns a [`VerifyError`] unless `holds` is true.
///
/// # Errors
///
/// When `holds` is false.
pub fn ensure(
    holds: bool,
    invariant: &'static str,
    message: impl FnOnce() -> String,
) -> Result<(), VerifyError> {
    if holds { Ok(()) } else { Err(VerifyError { invariant, message: message() }) }
}

/// Stops the process because the heap's own structures contradict each other.
///
/// To continue could hand out memory that is in use. Reserved for faults of this library and
/// for broken `unsafe` contracts: nothing that safe code does reaches it.
#[macro_export]
macro_rules! corrupt {
    ($($arg:tt)*) => {
        $crate::error::die(format_args!($($arg)*))
    };
}

/// See [`corrupt!`](crate::corrupt).
#[cold]
#[inline(never)]
pub fn die(what: fmt::Arguments<'_>) -> ! {
    // A simulation saves the schedule that led here, and ends by itself.
    #[cfg(heap_shuttle)]
    panic!("heap corruption: {what}");
    #[cfg(not(heap_shuttle))]
    {
        eprintln!("heap corruption: {what}");
        std::process::abort()
    }
}
