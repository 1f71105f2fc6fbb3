//! The frame stack of a [`Thread`]: what pushes and drops frames, and how deep calls nest (TH3).

use super::{Frame, FrameKind, OnReturn, STACK_LIMIT, Thread};
use crate::bytecode::{Count, MULTI};
use crate::error::{Fail, Failure, NoMemory, operation_failed};
use crate::state::Ctx;

/// Nested calls (TH3) that may wait for each other.
pub const MAX_NESTING: u32 = 198;

/// The error of nested calls beyond [`MAX_NESTING`].
pub const NESTING_OVERFLOW: &str = "C stack overflow";

/// Further ones for message handlers of an overflow, and for what they call.
const HANDLER_NESTING: u32 = 20;

const _: () = assert!(MAX_NESTING + HANDLER_NESTING < u8::MAX as u32);

pub(super) const FIRST_FRAMES: usize = 4;

impl<'gc> Thread<'gc> {
    /// Number of frames in use.
    #[inline(always)]
    pub fn depth(&self) -> usize {
        self.depth.get() as usize
    }

    /// Frame `index`, counted from the bottom.
    #[inline(always)]
    pub fn frame(&self, index: usize) -> &'gc Frame {
        &self.frames.get().as_ref()[index]
    }

    /// The running frame, if there is one.
    #[inline(always)]
    pub fn top_frame(&self) -> Option<&'gc Frame> {
        self.frames.get().as_ref().get(self.depth().wrapping_sub(1))
    }

    /// Adds a frame.
    ///
    /// # Errors
    ///
    /// If there is no memory for a longer frame stack, or calls nest too deep. The nesting of
    /// protected calls, which catch that error, is checked elsewhere; see
    /// [`Thread::check_nesting`].
    #[inline(always)]
    pub fn push_frame(
        &self,
        ctx: Ctx<'gc>,
        kind: FrameKind,
        func: usize,
        base: usize,
        on_return: OnReturn,
    ) -> Result<&'gc Frame, Failure<'gc>> {
        let depth = self.depth();
        let mut frames = self.frames.get().as_ref();
        if depth >= frames.len() {
            self.grow_frames(ctx)?;
            frames = self.frames.get().as_ref();
        }
        let mut nesting =
            frames.get(depth.wrapping_sub(1)).map_or(0, |caller| caller.nesting.get());
        if on_return.is_metamethod() || kind.is_nested() {
            nesting += 1;
            if !kind.is_protected() && self.is_overflow(nesting) {
                if kind != FrameKind::Handler || self.total(nesting) > MAX_NESTING + 1 {
                    return Err(self.overflow(nesting));
                }
                // A handler that would be the first call beyond the limit gets that overflow as its
                // error instead (`call_handler` of `vm::raise`), and counts as two calls.
                nesting += 1;
            }
        }
        let frame = &frames[depth];
        frame.fill(kind, func, base, on_return, nesting);
        self.depth.set(depth as u32 + 1);
        Ok(frame)
    }

    /// Adds the frame of a Lua function that `caller`, the last frame, calls. `None`: the frame stack is
    /// full.
    #[inline(always)]
    pub fn push_lua_frame(
        &self,
        caller: &Frame,
        func: usize,
        base: usize,
        wanted: Count,
    ) -> Option<&'gc Frame> {
        let depth = self.depth.get();
        let frame = self.frames.get().as_ref().get(depth as usize)?;
        frame.fill(FrameKind::Lua, func, base, OnReturn::Store(wanted), caller.nesting.get());
        self.depth.set(depth + 1);
        Some(frame)
    }

    /// Adds the frame of a Lua function that the last frame calls, in any way. `false`: that needs memory,
    /// or nests too deep.
    #[inline(always)]
    pub fn try_push_lua_frame(&self, func: usize, base: usize, on_return: OnReturn) -> bool {
        let depth = self.depth();
        let frames = self.frames.get().as_ref();
        let (Some(caller), Some(frame)) = (frames.get(depth.wrapping_sub(1)), frames.get(depth))
        else {
            return false;
        };
        let nesting = caller.nesting.get() + u8::from(on_return.is_metamethod());
        if self.total(nesting) > MAX_NESTING {
            return false;
        }
        frame.fill(FrameKind::Lua, func, base, on_return, nesting);
        self.depth.set(depth as u32 + 1);
        true
    }

    /// Drops the running frame if the one below is that of a Lua function; returns that one.
    #[inline(always)]
    pub fn pop_to_lua_frame(&self) -> Option<&'gc Frame> {
        let depth = self.depth.get();
        let caller = self.frames.get().as_ref().get((depth as usize).wrapping_sub(2))?;
        caller.kind.get().is_lua().then(|| {
            self.depth.set(depth - 1);
            caller
        })
    }

    /// Adds the frames of a call from Rust, and of the Lua function at `func` that it calls with `count`
    /// arguments. `false`: that needs memory, or nests too deep.
    #[inline]
    pub fn try_push_entry(&self, func: usize, count: usize) -> bool {
        let depth = self.depth();
        let frames = self.frames.get().as_ref();
        let Some([caller, entry, frame]) =
            frames.get(depth.wrapping_sub(1)..).and_then(|frames| frames.first_chunk())
        else {
            return false;
        };
        let nesting = caller.nesting.get() + 1;
        if self.total(nesting) > MAX_NESTING {
            return false;
        }
        entry.fill(FrameKind::Entry, func, func + 1 + count, OnReturn::Store(MULTI), nesting);
        frame.fill(FrameKind::Lua, func, func + 1, OnReturn::Store(MULTI), nesting);
        self.depth.set(depth as u32 + 2);
        self.entries.set(self.entries.get() + 1);
        true
    }

    /// Whether the running frame was called by a Lua function.
    #[inline(always)]
    pub fn is_called_by_lua(&self) -> bool {
        let below = (self.depth.get() as usize).wrapping_sub(2);
        self.frames.get().as_ref().get(below).is_some_and(|caller| caller.kind.get().is_lua())
    }

    /// Drops the running frame and the one below, if that is `pcall`'s and was called by a Lua function
    /// that wants results in the ordinary way: how many.
    #[inline]
    pub fn pop_to_caller_of_pcall(&self) -> Option<Count> {
        let depth = self.depth();
        let [caller, frame] = self.frames.get().as_ref().get(..depth - 1)?.last_chunk()?;
        match (caller.kind.get().is_lua(), frame.kind.get(), frame.on_return.get()) {
            (true, FrameKind::Pcall, OnReturn::Store(wanted)) => {
                self.depth.set(depth as u32 - 2);
                Some(wanted)
            }
            _ => None,
        }
    }

    /// Drops the running frame and the one below, if that is a call from Rust.
    #[inline(always)]
    pub fn pop_to_entry(&self) -> bool {
        let below = (self.depth.get() as usize).wrapping_sub(2);
        let frame = self.frames.get().as_ref().get(below);
        let is_entry = frame.is_some_and(|frame| frame.kind.get() == FrameKind::Entry);
        if is_entry {
            self.depth.set(below as u32);
            self.entries.set(self.entries.get() - 1);
        }
        is_entry
    }

    // ---- nested calls (TH3) ----

    /// Nested calls that wait for what runs now, those of other threads included.
    #[must_use]
    pub fn nesting(&self) -> u32 {
        self.total(self.top_frame().map_or(0, |frame| frame.nesting.get()))
    }

    #[inline(always)]
    fn total(&self, nesting: u8) -> u32 {
        self.outer_nesting.get() + u32::from(nesting)
    }

    /// Whether a call at this depth of the thread fails. Beyond the limit, calls that a handler of
    /// that very failure makes do not fail.
    #[inline(always)]
    fn is_overflow(&self, nesting: u8) -> bool {
        let total = self.total(nesting);
        total == MAX_NESTING + 1 || total > MAX_NESTING + HANDLER_NESTING
    }

    /// The failure of a call at this depth, see [`Thread::is_overflow`].
    #[cold]
    fn overflow(&self, nesting: u8) -> Failure<'gc> {
        if self.total(nesting) > MAX_NESTING + HANDLER_NESTING {
            return Box::new(Fail::InHandler);
        }
        operation_failed(NESTING_OVERFLOW)
    }

    /// After the frame of a protected call has been pushed.
    ///
    /// # Errors
    ///
    /// If calls nest too deep.
    #[inline]
    pub fn check_nesting(&self) -> Result<(), Failure<'gc>> {
        match self.top_frame() {
            Some(frame) if self.is_overflow(frame.nesting.get()) => {
                Err(self.overflow(frame.nesting.get()))
            }
            _ => Ok(()),
        }
    }

    /// Makes sure that another frame can be pushed without memory.
    ///
    /// # Errors
    ///
    /// As [`Thread::push_frame`] for lack of memory.
    pub fn reserve_frame(&self, ctx: Ctx<'gc>) -> Result<(), Failure<'gc>> {
        if self.depth() < self.frames.get().as_ref().len() { Ok(()) } else { self.grow_frames(ctx) }
    }

    #[cold]
    #[inline(never)]
    fn grow_frames(&self, ctx: Ctx<'gc>) -> Result<(), Failure<'gc>> {
        let old = self.frames.get().as_ref();
        // Frames of natives and coroutines take no stack, so the stack's limit is not enough.
        if old.len() >= 2 * STACK_LIMIT {
            return Err(operation_failed("stack overflow"));
        }
        let fill = |i: usize| old.get(i).map_or_else(Frame::unused, Frame::copy);
        let new = ctx.cx.try_alloc_slice_fn(old.len() * 2, fill).map_err(NoMemory::from)?;
        self.frames.set(ctx.cx, new);
        Ok(())
    }

    /// Gives back most of a frame stack of which little is in use.
    pub(super) fn trim_frames(&self, ctx: Ctx<'gc>) {
        let old = self.frames.get().as_ref();
        let len = (2 * self.depth()).max(FIRST_FRAMES);
        if old.len() > 4 * len
            && let Ok(shorter) = ctx.cx.try_alloc_slice_fn(len, |i| old[i].copy())
        {
            self.frames.set(ctx.cx, shorter);
        }
    }

    /// Drops frames until `depth` are left.
    #[inline(always)]
    pub fn cut_frames(&self, depth: usize) {
        self.depth.set(depth as u32);
    }

    /// Takes back the last [`Thread::pop_frame`].
    pub fn restore_frame(&self) {
        self.depth.set(self.depth.get() + 1);
    }

    /// Drops the running frame; returns the one below.
    #[inline(always)]
    pub fn pop_frame(&self) -> Option<&'gc Frame> {
        let depth = self.depth.get() - 1;
        self.depth.set(depth);
        self.frames.get().as_ref().get((depth as usize).wrapping_sub(1))
    }
}
