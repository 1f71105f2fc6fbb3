//! What can go wrong while a script runs.
//!
//! [`Fail`] travels inside a region and may hold values; [`Raised`] travels through code that owns
//! `&mut Cx`, its value is kept by the state ([`crate::state::State::error`]). Both are caught by
//! `pcall` and friends; nothing here ends the process.

use heap_api::{AllocError, OutOfMemory};

use crate::limits::Limit;
use crate::value::Value;

/// The heap refused an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

impl<T> From<AllocError<T>> for NoMemory {
    fn from(_: AllocError<T>) -> Self {
        NoMemory
    }
}

impl From<OutOfMemory> for NoMemory {
    fn from(_: OutOfMemory) -> Self {
        NoMemory
    }
}

/// Why an instruction or a native function did not finish.
pub enum Fail<'gc> {
    /// An error value, thrown as it is.
    Value(Value<'gc>),
    /// `error(value, level)` with a string: the position of the function at that level comes first.
    ValueAt(Value<'gc>, u32),
    /// A message; the position of the innermost function (the caller, for a native one) comes first.
    Message(String),
    /// As `Message`, for text that need not be UTF-8.
    Bytes(Vec<u8>),
    /// What went wrong with an operation of the language; the position of the innermost function
    /// comes first if that is a Lua function. A native function that indexes, calls or compares fails
    /// without a position.
    Operation(String),
    /// A native function has refused argument `index` (from 1).
    Argument {
        /// Number of the argument, from 1.
        index: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The script has met a limit of the host's.
    Limit(Limit),
    /// It is to stop because the host or its timer wants that.
    Interrupted,
    /// The script ends itself; its variables are closed.
    Exit(i32),
    /// Message handlers failed too often, one inside the other, or filled the stack. No further one
    /// is called.
    InHandler,
    /// No memory, and nothing has happened yet: collect and try the same again.
    Memory,
    /// No memory, after something has happened that must not be repeated.
    MemoryFinal,
}

/// A failure inside a region, boxed to keep results small.
pub type Failure<'gc> = Box<Fail<'gc>>;

impl From<NoMemory> for Failure<'_> {
    #[cold]
    fn from(_: NoMemory) -> Self {
        Box::new(Fail::Memory)
    }
}

/// A run-time error with this message.
#[cold]
pub fn fail<'gc>(message: impl Into<String>) -> Failure<'gc> {
    Box::new(Fail::Message(message.into()))
}

/// An operation of the language cannot be carried out.
#[cold]
pub fn operation_failed<'gc>(message: impl Into<String>) -> Failure<'gc> {
    Box::new(Fail::Operation(message.into()))
}

/// An error whose value waits in [`crate::state::State::error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raised {
    /// No message handler has seen it.
    Fresh,
    /// No message handler sees it (there is no memory for one).
    NoHandler,
    /// It comes out of a call to Lua: a message handler, if there is one, has seen it.
    Handled,
}
