//! [`Limits`]: the resources that a host grants scripts, and what happens to a script that exceeds
//! them.
//!
//! There are four ways to be stopped ([`Limit`]). Each ends in an error, which the script can catch or
//! cannot, as the host says ([`OnLimit`]).
//!
//! * LI1: an error that cannot be caught passes message handlers, `pcall`, coroutines and library functions
//!   that call back, up to the host. While it is on its way ([`Limits::is_stopping`]), variables
//!   that are to be closed are closed; nothing else of the script runs, and no finalizers. Every
//!   call from the host begins anew.
//! * LI2: what has run out stays so until the script has ended: a script that catches the error gets it
//!   again, at its next instruction (instructions), or at its next call or turn of a loop (time).
//!
//! * LI3: the code that closes variables on the way runs like any other, with errors that it can catch, until
//!   it has ended. An error that comes out of it takes the way of the first.
//!
//! `os.exit` with a second argument that is true ends a script in the same way, so that its variables are
//! closed.

use core::cell::Cell;

/// What can end a script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// The heap is full: see [`Config::max_heap_bytes`](crate::Config::max_heap_bytes).
    Memory,
    /// The script has run as many instructions as it may.
    Instructions,
    /// The script has run for as long as it may.
    Time,
    /// The host wants it to stop: see [`Interrupter`](crate::Interrupter).
    Interrupt,
}

impl Limit {
    /// The text of the error.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Limit::Memory => "not enough memory",
            Limit::Instructions => "too many instructions",
            Limit::Time => "out of time",
            Limit::Interrupt => "interrupted!",
        }
    }
}

/// Whether scripts can catch the error that a limit ends in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnLimit {
    /// As any other error, by `pcall` and the like.
    #[default]
    Catchable,
    /// They cannot: the host gets it.
    Uncatchable,
}

/// Why a script is being ended for good (LI1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// By a limit.
    Limit(Limit),
    /// By itself, with `os.exit` and this code.
    Exit(i32),
}

/// The limits of an interpreter.
#[derive(Debug, Default)]
pub struct Limits {
    /// By [`Limit`].
    on_limit: Cell<[OnLimit; 4]>,
    /// Instructions that one call from the host may run.
    instructions: Cell<Option<u64>>,
    /// How many of them are left.
    left: Cell<u64>,
    stop: Cell<Option<Stop>>,
    /// LI3: the address of the thread and the index of the frame.
    closing: Cell<Option<(usize, usize)>>,
}

impl Limits {
    /// Says what becomes of scripts that meet a limit.
    pub fn set_on_limit(&self, limit: Limit, on_limit: OnLimit) {
        let mut all = self.on_limit.get();
        all[limit as usize] = on_limit;
        self.on_limit.set(all);
    }

    /// Limits the instructions of each call from the host.
    pub fn set_instructions(&self, limit: Option<u64>) {
        self.instructions.set(limit);
        self.left.set(limit.unwrap_or(0));
    }

    /// A call from the host begins.
    pub fn begin(&self) {
        self.left.set(self.instructions.get().unwrap_or(0));
        self.stop.set(None);
        self.closing.set(None);
    }

    /// Whether instructions are counted.
    #[inline(always)]
    #[must_use]
    pub fn counts_instructions(&self) -> bool {
        self.instructions.get().is_some()
    }

    /// Counts the next instruction, and says whether it may run. Once one may not run, none may
    /// (LI2).
    #[must_use]
    pub fn allows_instruction(&self) -> bool {
        if self.instructions.get().is_none() {
            return true;
        }
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }

    /// An error because of this limit arises: from now on it cannot be caught, if the host wants that.
    pub fn met(&self, limit: Limit) {
        if self.on_limit.get()[limit as usize] == OnLimit::Uncatchable {
            self.stop.set(Some(Stop::Limit(limit)));
            self.closing.set(None);
        }
    }

    /// The script ends itself.
    pub fn exit(&self, code: i32) {
        self.stop.set(Some(Stop::Exit(code)));
        self.closing.set(None);
    }

    /// The last frame of a thread, with this index, is going to close a variable, or has closed it and goes
    /// on (LI3).
    pub fn set_closing(&self, place: Option<(usize, usize)>) {
        if self.stop.get().is_some() {
            self.closing.set(place);
        }
    }

    /// Whether an error that has come to this frame of a thread is one that cannot be caught.
    #[must_use]
    pub fn is_stopping_at(&self, thread: usize, frame: usize) -> bool {
        self.stop.get().is_some()
            && self.closing.get().is_none_or(|(at, index)| at == thread && frame <= index)
    }

    /// Whether an error that cannot be caught is on its way (LI1).
    #[inline(always)]
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.get().is_some() && self.closing.get().is_none()
    }

    /// Why, if so.
    #[must_use]
    pub fn stop(&self) -> Option<Stop> {
        self.stop.get()
    }
}
