//! [`Running`]: what the loop keeps at hand about the frame it runs.

use heap_api::{Gc, GcCell};

use crate::bytecode::{Const, Count, Op, ProtoData};
use crate::function::{Closure, Proto, Upval};
use crate::state::Ctx;
use crate::string::Str;
use crate::thread::{Frame, Thread, Window};
use crate::value::Value;

/// What the loop keeps at hand about the frame it runs.
#[derive(Clone, Copy)]
pub(super) struct Running<'gc> {
    pub(super) thread: Gc<'gc, Thread<'gc>>,
    pub(super) frame: &'gc Frame,
    pub(super) base: usize,
    pub(super) registers: &'gc Window<'gc>,
    pub(super) upvalues: &'gc [GcCell<Gc<'gc, Upval<'gc>>>],
    pub(super) proto: &'gc Proto<'gc>,
    pub(super) code: &'gc [Op],
    pub(super) constants: &'gc [Value<'gc>],
}

impl<'gc> Running<'gc> {
    /// The last frame of the running thread, a Lua function.
    #[inline(always)]
    pub(super) fn load(ctx: Ctx<'gc>) -> Running<'gc> {
        let thread = ctx.state.thread.get();
        match thread.top_frame() {
            Some(frame) => Running::resume(ctx, thread, frame),
            None => unreachable!("VM2: a thread that runs has a frame"),
        }
    }

    /// A Lua frame that was entered before.
    #[inline(always)]
    pub(super) fn resume(
        ctx: Ctx<'gc>,
        thread: Gc<'gc, Thread<'gc>>,
        frame: &'gc Frame,
    ) -> Running<'gc> {
        match thread.slot(frame.func.get() as usize).get() {
            Value::Function(closure) => {
                Running::of(ctx, thread, frame, closure, frame.base.get() as usize)
            }
            _ => unreachable!("VM2: only Lua frames are run"),
        }
    }

    #[inline(always)]
    pub(super) fn of(
        ctx: Ctx<'gc>,
        thread: Gc<'gc, Thread<'gc>>,
        frame: &'gc Frame,
        closure: Gc<'gc, Closure<'gc>>,
        base: usize,
    ) -> Running<'gc> {
        let closure = closure.as_ref();
        let proto = closure.header.proto.as_ref();
        Running {
            thread,
            frame,
            base,
            registers: thread.window(ctx, base),
            upvalues: &closure.tail,
            proto,
            code: &proto.data.0.code,
            constants: proto.constants.as_ref(),
        }
    }

    #[inline(always)]
    pub(super) fn data(&self) -> &'gc ProtoData {
        &self.proto.data.0
    }

    /// The first stack slot after the registers, for calls of metamethods.
    #[inline(always)]
    pub(super) fn scratch(&self) -> usize {
        self.base + self.data().max_stack as usize
    }

    #[inline(always)]
    pub(super) fn constant(&self, k: impl Into<Const>) -> Value<'gc> {
        self.constants[k.into().0 as usize]
    }

    /// A constant that is a string (BC6 of [`crate::bytecode`]).
    #[inline(always)]
    pub(super) fn string(&self, k: impl Into<Const>) -> Str<'gc> {
        match self.constant(k) {
            Value::Str(text) => text,
            _ => unreachable!("BC6: this constant is a string"),
        }
    }

    /// Length of a list of `count` values from `start` on, or of an open list.
    #[inline(always)]
    pub(super) fn list_len(&self, start: usize, count: Count) -> usize {
        count.fixed().unwrap_or_else(|| self.thread.top.get() as usize - start)
    }
}
