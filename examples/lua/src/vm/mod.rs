//! The virtual machine.
//!
//! It is *stackless*: calls, metamethods, `pcall`, coroutines and generic `for` push frames on the
//! heap, never on Rust's stack. `execute` runs instructions inside a region; whenever the heap
//! wants a safepoint, or a native function needs to collect or to call Lua, it saves its place and
//! returns an `Exit`. `driver` owns the `&mut Cx`, does what is asked, and enters again.
//!
//! # Types that say how to go on
//!
//! | type | from | to | what it says |
//! |---|---|---|---|
//! | `Flow` | an arm of the loop, or what it calls | the loop, `execute::run` | done; done, and look at the poll flag; take up another frame; nothing done, carry it out in general; leave |
//! | `Action` | anything that pushes or pops frames | `call::perform` | run the last frame, call, return, leave |
//! | `Exit` | the loop, `call::perform` | the driver | why it has left |
//! | [`Done`](crate::native::Done) | a fast native body | the loop | results are in place, or: call the slow body |
//! | [`Failure`](crate::error::Failure), a boxed [`Fail`](crate::error::Fail) | anything in a region that fails | `raise`, or the driver | why; nothing is unwound yet |
//! | [`Raised`](crate::error::Raised) | anything outside a region that fails | a slow native body, the embedder | the error value is in the state |
//!
//! Two more are stored until a call returns: [`OnReturn`], in a frame, says what becomes of the call's
//! results, and [`Outcome`](crate::bytecode::Outcome), in the table of instructions, where the result of
//! an instruction's metamethod goes ([`OnReturn::Finish`]).
//!
//! Code in Rust sees the machine through one of three: [`Call`](crate::native::Call), a native call
//! inside a region; [`Task`], a native call outside of one; [`Runner`], the interpreter outside of one.
//!
//! Layers, from the bottom: `describe` (names for messages), `arith`, `compare`, `forloop` (plain
//! operations), `index` and `concat` (with metamethods), `raise` and `traceback` (errors), `close`
//! (variables that are to be closed), `profile` (stacks for the heap's profile), `coroutine`, `call`
//! (frames), `execute` (instructions), `liveness` (dead registers), `driver`, `hook` (events for
//! `debug.sethook`), `finalize` (`__gc`).
//!
//! * VM1: an instruction that fails for lack of memory has had no effect, so it can run again.
//! * VM2: the running thread's last frame says everything that is needed to go on; the loop's local
//!   variables are copies.
//! * no recursion over user data in Rust; calls from Rust to Lua are nested calls of a
//!   thread, whose number is limited (TH3 of [`crate::thread`]).

mod arith;
mod call;
mod close;
mod compare;
mod concat;
mod coroutine;
mod describe;
mod driver;
mod execute;
mod finalize;
mod forloop;
mod hook;
mod index;
mod liveness;
mod profile;
mod raise;
mod traceback;

pub use arith::{Arith, arith};
pub use compare::{less_equal, less_than};
pub use concat::append_number;
pub use describe::{current_line, current_pc, name_of_call};
pub use driver::{Runner, Task};
pub use index::{Indexed, assign, index};
pub use profile::{NativeNames, stack_hook};
pub use raise::function_levels;
pub use traceback::{has_host_level, traceback};

use crate::thread::OnReturn;

/// Why the interpreter loop was left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// The heap wants a safepoint.
    Safepoint,
    /// An instruction found no memory; the saved `pc` is the instruction itself (VM1).
    Memory,
    /// The last frame is a native function that needs the driver.
    Native,
    /// A hook is to be called.
    Hook,
    /// The script has run as many instructions as it may.
    Instructions,
    /// An error is on its way, and there is no memory for a call that it has to make.
    Unwind,
    /// A call from Rust is done: its results are at the end of the stack.
    Returned,
    /// A call from Rust failed: the value is in the state.
    Raised,
}

/// What to do next with the running thread.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    /// Run the last frame, a Lua function.
    Go,
    /// Call the value at `func` with the `count` values after it.
    Call {
        /// Stack index of the function.
        func: usize,
        /// Number of arguments.
        count: usize,
        /// What to do with the results.
        on_return: OnReturn,
    },
    /// A call at `func` is done, its frame popped, its results at `from`.
    Return {
        /// Stack index of the first result.
        from: usize,
        /// Number of results.
        count: usize,
        /// Stack index of the function.
        func: usize,
        /// What to do with them.
        on_return: OnReturn,
    },
    /// Leave the loop.
    Leave(Exit),
}
