//! The virtual machine.
//!
//! It is *stackless*: calls, metamethods, `pcall`, coroutines and generic `for` push frames on the
//! heap, never on Rust's stack. `execute` runs instructions inside a region; whenever the heap
//! wants a safepoint, or a native function needs to collect or to call Lua, it saves its place and
//! returns an `Exit`. `driver` owns the `&mut Cx`, does what is asked, and enters again.
//!
//! Layers, from the bottom: `describe` (names for messages), `arith`, `compare`, `forloop` (plain
//! operations), `index` and `concat` (with metamethods), `raise` and `traceback` (errors),
//! `coroutine`, `call` (frames), `execute` (instructions), `driver`.
//!
//! * VM1: an instruction that fails for lack of memory has had no effect, so it can run again.
//! * VM2: the running thread's last frame says everything that is needed to go on; the loop's local
//!   variables are copies.
//! * no recursion over user data in Rust; calls from Rust to Lua are nested calls of a
//!   thread, whose number is limited (TH3 of [`crate::thread`]).

mod arith;
mod call;
mod compare;
mod concat;
mod coroutine;
mod describe;
mod driver;
mod execute;
mod forloop;
mod index;
mod raise;
mod traceback;

pub use arith::{Arith, arith};
pub use compare::{less_equal, less_than};
pub use concat::append_number;
pub use describe::current_line;
pub use driver::{Runner, Task};
pub use index::{Assigned, Found, assign, index};
pub use raise::function_frames;
pub use traceback::traceback;

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
