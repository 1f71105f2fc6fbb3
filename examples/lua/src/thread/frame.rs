//! [`Frame`]: one call on the frame stack of a [`super::Thread`].

use core::cell::Cell;

use heap_api::{Cx, Gc, Trace};

use crate::bytecode::Count;
use crate::error::NoMemory;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    /// A Lua function.
    Lua,
    /// A Lua function that took the place of its caller.
    LuaTail,
    /// A native function that is running (it called Lua, or it failed).
    Native,
    /// `pcall`: the callee's results come to `func + 1`.
    Pcall,
    /// `xpcall`: the handler is at `func + 1`, the callee's results come to `func + 2`.
    Xpcall,
    /// `pairs` with a `__pairs` metamethod, and `dofile`: returns the results of the function that
    /// it has called. The callee's results come to `func + 1`.
    Passing,
    /// `coroutine.resume`: waits for another thread.
    Resume,
    /// A function made by `coroutine.wrap`: waits for another thread.
    Wrap,
    /// `coroutine.yield`: waits for its own thread to be resumed.
    Yield,
    /// `coroutine.close`: waits for another thread, whose variables are being closed.
    Close,
    /// The bottom of a coroutine that is being closed, see [`crate::vm`]. No error so far.
    Closing,
    /// As `Closing`, with the error in the state.
    ClosingFailed,
    /// A call from Rust; the driver gets the results.
    Entry,
    /// An `Entry` whose call failed in a coroutine that nothing keeps from dying of it: the frames
    /// above show where, until the native function that made the call passes the error on or drops
    /// them.
    Failed,
    /// As `Entry`, for the call of a hook.
    Hook,
    /// A native function whose calls are reported to a hook: waits for the one that runs, which is right
    /// behind it. The results come to `func + 1`.
    Hooked,
    /// As `Entry`, for the call of a finalizer: errors stop here, unseen by message handlers.
    Finalizer,
    /// The call of a message handler, whose result comes to `func`.
    Handler,
}

impl FrameKind {
    /// Whether it is a Lua function.
    #[inline(always)]
    #[must_use]
    pub fn is_lua(self) -> bool {
        matches!(self, FrameKind::Lua | FrameKind::LuaTail)
    }

    /// Whether it is the call of a function, for levels of errors and tracebacks.
    #[must_use]
    pub fn is_function(self) -> bool {
        !matches!(
            self,
            FrameKind::Entry
                | FrameKind::Finalizer
                | FrameKind::Hook
                | FrameKind::Hooked
                | FrameKind::Failed
                | FrameKind::Handler
                | FrameKind::Closing
                | FrameKind::ClosingFailed
        )
    }

    /// Whether its call is a nested one, see [`Frame::nesting`].
    #[inline(always)]
    pub(super) fn is_nested(self) -> bool {
        self.is_protected()
            || matches!(
                self,
                FrameKind::Passing
                    | FrameKind::Entry
                    | FrameKind::Hook
                    | FrameKind::Finalizer
                    | FrameKind::Handler
            )
    }

    /// Whether it catches errors.
    #[inline(always)]
    pub fn is_protected(self) -> bool {
        matches!(self, FrameKind::Pcall | FrameKind::Xpcall)
    }
}

/// What to do with the results of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnReturn {
    /// Store this many at the callee's place ([`crate::bytecode::MULTI`]: all, and set `top`).
    Store(Count),
    /// Finish the caller's instruction, whose metamethod this was: see
    /// [`crate::bytecode::Op::outcome`].
    Finish,
    /// As `Finish`, with the truth value of the result inverted.
    FinishNegated,
    /// The result of `__concat`: store it at the end of a concatenation of that many registers,
    /// then go on with it.
    Concat(u8),
    /// The results of a native function called in tail position: the caller returns them.
    Tail,
    /// The call was that of a `__close`: run the caller's instruction again.
    Repeat,
    /// The call was that of a `__close` for a `return`, which is to go on.
    Close,
    /// The call was that of a `__close` for an error, or for a coroutine that is being closed.
    Unwind,
}

impl OnReturn {
    /// Whether the call is that of a metamethod.
    #[inline(always)]
    pub(super) fn is_metamethod(self) -> bool {
        !matches!(self, OnReturn::Store(_) | OnReturn::Tail)
    }
}

/// One call. Plain data: the function itself is in the stack, at `func`.
#[derive(Trace)]
pub struct Frame {
    /// Stack index of the function; its results come here.
    pub func: Cell<u32>,
    /// Stack index of its first register.
    pub base: Cell<u32>,
    /// The next instruction, valid while the frame does not run.
    pub pc: Cell<u32>,
    /// What it is.
    pub kind: Cell<FrameKind>,
    /// What becomes of its results.
    pub on_return: Cell<OnReturn>,
    /// Nested calls of the thread that wait, one for the other, for this call: metamethods, message
    /// handlers, protected calls, and calls from Rust. Real Lua makes them on C's stack. Here only
    /// those from Rust have to be limited, but scripts know the limit, and without it an endless
    /// chain would eat much memory and time.
    pub(super) nesting: Cell<u8>,
}

const _: () = assert!(size_of::<Frame>() <= 16);

impl Frame {
    pub(super) fn unused() -> Frame {
        Frame {
            func: Cell::new(0),
            base: Cell::new(0),
            pc: Cell::new(0),
            kind: Cell::new(FrameKind::Native),
            on_return: Cell::new(OnReturn::Store(Count(0))),
            nesting: Cell::new(0),
        }
    }

    pub(super) fn copy(&self) -> Frame {
        Frame {
            func: self.func.clone(),
            base: self.base.clone(),
            pc: self.pc.clone(),
            kind: self.kind.clone(),
            on_return: self.on_return.clone(),
            nesting: self.nesting.clone(),
        }
    }

    /// Describes a new call.
    #[inline(always)]
    pub(super) fn fill(
        &self,
        kind: FrameKind,
        func: usize,
        base: usize,
        on_return: OnReturn,
        nesting: u8,
    ) {
        self.func.set(func as u32);
        self.base.set(base as u32);
        self.pc.set(0);
        self.kind.set(kind);
        self.on_return.set(on_return);
        self.nesting.set(nesting);
    }

    /// Whether the function has taken the place of its caller.
    #[must_use]
    pub fn is_tail_call(&self) -> bool {
        self.kind.get() == FrameKind::LuaTail
    }

    /// Turns the frame into that of a function called in tail position.
    pub fn refill_for_tail_call(&self, base: usize) {
        self.base.set(base as u32);
        self.pc.set(0);
        self.kind.set(FrameKind::LuaTail);
    }
}

/// A stack of this many frames, none of which is in use.
///
/// # Errors
///
/// If the heap has no memory for them.
pub fn new_frames<'gc>(cx: &'gc Cx, len: usize) -> Result<Gc<'gc, [Frame]>, NoMemory> {
    Ok(cx.try_alloc_slice_fn(len, |_| Frame::unused())?)
}
