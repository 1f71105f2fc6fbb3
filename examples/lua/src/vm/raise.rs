//! Errors: from failure to error value, to message handler, to the frame that catches it.

use heap_api::Gc;

use crate::bytecode::Count;
use crate::compiler::{NameKind, chunk_id, describe_call};
use crate::error::{Fail, Failure, Raised};
use crate::limits::Limit;
use crate::state::Ctx;
use crate::thread::{Frame, FrameKind, MAX_NESTING, NESTING_OVERFLOW, OnReturn, Thread};
use crate::value::Value;

use super::close::close_next;
use super::coroutine::{back_to, begin_closing, closed, waiting_call};
use super::describe::{current_pc, proto_of};
use super::traceback::{global_name, traceback};
use super::{Action, Exit};

/// The indices of the frames of functions, innermost first.
#[must_use = "an iterator"]
pub fn function_levels<'gc>(thread: Gc<'gc, Thread<'gc>>) -> impl Iterator<Item = usize> {
    let is_function = move |index: &usize| thread.frame(*index).kind.get().is_function();
    (0..thread.depth()).rev().filter(is_function)
}

/// The frames of functions, innermost first.
pub(super) fn function_frames<'gc>(
    thread: Gc<'gc, Thread<'gc>>,
) -> impl Iterator<Item = &'gc Frame> {
    function_levels(thread).map(move |index| thread.frame(index))
}

/// "file:line:" of the function at `level` (0 is the innermost), or nothing.
pub(super) fn position<'gc>(thread: Gc<'gc, Thread<'gc>>, level: usize) -> String {
    let named = function_frames(thread).nth(level).and_then(|frame| {
        let proto = proto_of(thread, frame)?;
        // -1: a binary chunk without debug information.
        let line =
            proto.data.0.line_info.get(current_pc(frame)).map_or(-1, |line| i64::from(*line));
        Some(format!("{}:{line}: ", chunk_id(&proto.data.0.source)))
    });
    named.unwrap_or_default()
}

/// The innermost function that can have a position: itself if it is Lua, else its caller.
fn default_level<'gc>(thread: Gc<'gc, Thread<'gc>>) -> usize {
    match function_frames(thread).next() {
        Some(frame) if frame.kind.get().is_lua() => 0,
        _ => 1,
    }
}

/// Puts the position before a message about an operation: that of the innermost function, which
/// has none if it is native.
fn operation_message<'gc>(thread: Gc<'gc, Thread<'gc>>, message: &str) -> String {
    position(thread, 0) + message
}

/// A position and the script's own text, if there is memory for both.
fn joined(position: String, text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = position.into_bytes();
    bytes.try_reserve(text.len()).ok()?;
    bytes.extend_from_slice(text);
    Some(bytes)
}

/// The error value of a failure, and whether message handlers see it.
#[expect(clippy::boxed_local, reason = "failures are boxed where they arise")]
fn error_value<'gc>(ctx: Ctx<'gc>, failure: Failure<'gc>) -> (Value<'gc>, bool) {
    let thread = ctx.state.thread.get();
    let mut is_handled = true;
    let bytes = match *failure {
        Fail::Value(value) => return (value, true),
        Fail::ValueAt(value, level) => match value {
            Value::Str(text) if level > 0 => {
                match joined(position(thread, level as usize), text.as_bytes()) {
                    Some(bytes) => bytes,
                    None => return (Value::Str(ctx.state.out_of_memory), false),
                }
            }
            _ => return (value, true),
        },
        Fail::Message(message) => (position(thread, default_level(thread)) + &message).into_bytes(),
        Fail::Operation(message) => operation_message(thread, &message).into_bytes(),
        Fail::Bytes(message) => {
            let mut bytes = position(thread, default_level(thread)).into_bytes();
            bytes.extend_from_slice(&message);
            bytes
        }
        Fail::Argument { index, message } => {
            let message = argument_message(ctx, thread, index, &message);
            (position(thread, default_level(thread)) + &message).into_bytes()
        }
        Fail::Limit(limit) => limit_message(ctx, thread, limit),
        Fail::Interrupted => {
            let limit = ctx.host.interrupt.limit();
            ctx.host.interrupt.was_told();
            limit_message(ctx, thread, limit)
        }
        Fail::Exit(code) => {
            ctx.host.limits.exit(code);
            return (Value::Nil, false);
        }
        Fail::InHandler => {
            is_handled = false;
            b"error in error handling".to_vec()
        }
        Fail::Memory | Fail::MemoryFinal => {
            ctx.host.limits.met(Limit::Memory);
            return (Value::Str(ctx.state.out_of_memory), false);
        }
    };
    match ctx.str(bytes) {
        Ok(text) => (Value::Str(text), is_handled),
        Err(_) => (Value::Str(ctx.state.out_of_memory), false),
    }
}

/// The script has met a limit: the message, which says where.
fn limit_message<'gc>(ctx: Ctx<'gc>, thread: Gc<'gc, Thread<'gc>>, limit: Limit) -> Vec<u8> {
    ctx.host.limits.met(limit);
    (position(thread, default_level(thread)) + limit.message()).into_bytes()
}

/// "bad argument #1 to 'insert' (...)", with the name that the caller used.
fn argument_message<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    mut index: usize,
    message: &str,
) -> String {
    let mut frames = function_frames(thread);
    let Some(native) = frames.next() else { return message.to_owned() };
    let named = frames.next().and_then(|caller| {
        let proto = proto_of(thread, caller)?;
        describe_call(&proto.data.0, current_pc(caller))
    });
    let name = match named {
        Some((NameKind::Method, name)) => {
            index -= 1;
            if index == 0 {
                return format!("calling '{name}' on bad self ({message})");
            }
            name
        }
        Some((_, name)) => name,
        None => {
            let function = thread.slot(native.func.get() as usize).get();
            global_name(ctx, function).unwrap_or_else(|| "?".to_owned())
        }
    };
    format!("bad argument #{index} to '{name}' ({message})")
}

/// Turns a failure of the running function into what to do next.
#[cold]
#[inline(never)]
pub(super) fn raise<'gc>(ctx: Ctx<'gc>, failure: Failure<'gc>) -> Action {
    let (value, handled) = error_value(ctx, failure);
    ctx.state.error.set(ctx.cx, value);
    if handled { throw(ctx) } else { unwind(ctx) }
}

impl<'gc> Ctx<'gc> {
    /// Leaves the error of a failed native function in the state, for code outside a region.
    pub fn keep_error(self, failure: Failure<'gc>) -> Raised {
        let (value, handled) = error_value(self, failure);
        self.state.error.set(self.cx, value);
        if handled { Raised::Fresh } else { Raised::NoHandler }
    }
}

/// What happens to an error before anything is unwound.
enum Handling {
    None,
    /// Call the function in this slot with the error value.
    Handler(usize),
    /// Nothing catches the error: keep the stack's description.
    Traceback,
}

fn find_handling<'gc>(ctx: Ctx<'gc>, thread: Gc<'gc, Thread<'gc>>) -> Handling {
    for index in (0..thread.depth()).rev() {
        let frame = thread.frame(index);
        match frame.kind.get() {
            FrameKind::Pcall | FrameKind::Xpcall
                if ctx.host.limits.is_stopping_at(thread.addr(), index) => {}
            FrameKind::Pcall | FrameKind::Finalizer => return Handling::None,
            FrameKind::Xpcall => return Handling::Handler(frame.func.get() as usize + 1),
            _ => {}
        }
    }
    if thread.ptr_eq(ctx.state.main_thread) { Handling::Traceback } else { Handling::None }
}

/// First stack slot that the running frame does not use.
pub(super) fn free_slot<'gc>(thread: Gc<'gc, Thread<'gc>>) -> usize {
    let Some(frame) = thread.top_frame() else { return 0 };
    let base = frame.base.get() as usize;
    let end = match proto_of(thread, frame) {
        Some(proto) => base + proto.data.0.max_stack as usize,
        None => base,
    };
    let last_to_close = thread.to_close_from(0).map_or(0, |at| at + 1);
    end.max(thread.top.get() as usize).max(last_to_close)
}

/// Throws the error in the state: calls a message handler if there is one, else unwinds.
pub(super) fn throw(ctx: Ctx<'_>) -> Action {
    let thread = ctx.state.thread.get();
    match find_handling(ctx, thread) {
        Handling::None => {}
        Handling::Handler(slot) => return call_handler(ctx, thread, slot),
        Handling::Traceback => {
            *ctx.host.traceback.borrow_mut() = Some(traceback(ctx, thread, None, 0));
        }
    }
    unwind(ctx)
}

/// Calls the message handler in a stack slot with the error in the state.
fn call_handler<'gc>(ctx: Ctx<'gc>, thread: Gc<'gc, Thread<'gc>>, slot: usize) -> Action {
    if thread.nesting() == MAX_NESTING {
        // See `push_frame`.
        let message = operation_message(thread, NESTING_OVERFLOW);
        let message = ctx.str(message).unwrap_or(ctx.state.out_of_memory);
        ctx.state.error.set(ctx.cx, Value::Str(message));
    }
    let func = free_slot(thread);
    let on_return = OnReturn::Store(Count(1));
    let pushed = thread.reserve(ctx, func + 2).and_then(|()| {
        thread.push_frame(ctx, FrameKind::Handler, func, func + 2, on_return).map(drop)
    });
    // TH5: a second attempt, for the error of the first, finds room or fails without a handler.
    if let Err(failure) = pushed {
        return raise(ctx, failure);
    }
    thread.entries.set(thread.entries.get() + 1);
    thread.slot(func).set(ctx.cx, thread.slot(slot).get());
    thread.slot(func + 1).set(ctx.cx, ctx.state.error.get());
    Action::Call { func, count: 1, on_return }
}

/// The message handler whose frame is the last has returned a value at `func`: the error from now
/// on.
pub(super) fn handled<'gc>(ctx: Ctx<'gc>, thread: Gc<'gc, Thread<'gc>>, func: usize) -> Action {
    ctx.state.error.set(ctx.cx, thread.slot(func).get());
    unwind(ctx)
}

/// Drops frames up to the one that catches the error in the state, and closes variables that are to be
/// closed.
pub(super) fn unwind(ctx: Ctx<'_>) -> Action {
    let thread = ctx.state.thread.get();
    for index in (0..thread.depth()).rev() {
        let frame = thread.frame(index);
        let func = frame.func.get() as usize;
        let kind = frame.kind.get();
        let catches = kind.is_protected()
            || matches!(
                kind,
                FrameKind::Entry
                    | FrameKind::Hook
                    | FrameKind::Finalizer
                    | FrameKind::Closing
                    | FrameKind::ClosingFailed
            );
        if catches && thread.to_close_from(func).is_some() {
            // The frame stays the last one, and what it calls ends here again.
            thread.cut_frames(index + 1);
            if kind == FrameKind::Closing {
                frame.kind.set(FrameKind::ClosingFailed);
            }
            if let Some(action) = close_next(ctx, thread, func) {
                return action;
            }
        }
        match kind {
            FrameKind::Closing | FrameKind::ClosingFailed => {
                return closed(ctx, thread, Some(ctx.state.error.get()));
            }
            // LI1: it catches everything but that.
            FrameKind::Pcall | FrameKind::Xpcall
                if ctx.host.limits.is_stopping_at(thread.addr(), index) =>
            {
                ctx.host.limits.set_closing(None);
            }
            FrameKind::Pcall | FrameKind::Xpcall => {
                thread.cut_frames(index);
                thread.close_upvals(ctx, func + 1);
                thread.top.set(0);
                thread.end_overflow(ctx, func + 2);
                thread.slot(func).set(ctx.cx, Value::False);
                thread.slot(func + 1).set(ctx.cx, ctx.state.error.get());
                let on_return = frame.on_return.get();
                return Action::Return { from: func, count: 2, func, on_return };
            }
            FrameKind::Entry | FrameKind::Hook | FrameKind::Finalizer => {
                thread.entries.set(thread.entries.get() - 1);
                thread.close_upvals(ctx, func);
                thread.top.set(func as u32);
                if is_doomed(ctx, thread, index) {
                    frame.kind.set(FrameKind::Failed);
                } else {
                    thread.cut_frames(index);
                }
                return Action::Leave(Exit::Raised);
            }
            FrameKind::Handler => thread.entries.set(thread.entries.get() - 1),
            _ => {}
        }
    }
    die(ctx, thread)
}

/// Whether the thread will die of an error that has come down to frame `index`, unless a native
/// function catches it.
fn is_doomed<'gc>(ctx: Ctx<'gc>, thread: Gc<'gc, Thread<'gc>>, index: usize) -> bool {
    let stops = |kind: FrameKind| kind.is_protected() || kind == FrameKind::Finalizer;
    !thread.ptr_eq(ctx.state.main_thread)
        && thread.frame(index).kind.get() != FrameKind::Finalizer
        && !(0..index).any(|below| stops(thread.frame(below).kind.get()))
}

/// A coroutine has no frame left that catches the error: it dies, and its resumer gets the error.
fn die<'gc>(ctx: Ctx<'gc>, thread: Gc<'gc, Thread<'gc>>) -> Action {
    let Some(resumer) = thread.resumer.get() else {
        unreachable!("the main thread's first frame is an entry from Rust")
    };
    let error = ctx.state.error.get();
    let (func, on_return, kind) = waiting_call(resumer);
    if kind == FrameKind::Resume && !ctx.host.limits.is_stopping_at(thread.addr(), 0) {
        thread.fail(ctx, error);
        back_to(ctx, thread, resumer);
        resumer.slot(func).set(ctx.cx, Value::False);
        resumer.slot(func + 1).set(ctx.cx, error);
        return Action::Return { from: func, count: 2, func, on_return };
    }
    if thread.to_close_from(0).is_some() {
        return begin_closing(ctx, thread, true);
    }
    fail_wrapped(ctx, thread, resumer)
}

/// A wrapped coroutine that failed is closed and passes its error on; text gets the position of the
/// call.
pub(super) fn fail_wrapped<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    resumer: Gc<'gc, Thread<'gc>>,
) -> Action {
    let error = ctx.state.error.get();
    thread.retire(ctx);
    if let Value::Str(text) = error
        && !ctx.host.limits.is_stopping()
    {
        let bytes = joined(position(resumer, 1), text.as_bytes());
        if let Some(Ok(text)) = bytes.map(|bytes| ctx.str(bytes)) {
            ctx.state.error.set(ctx.cx, Value::Str(text));
        }
    }
    if let Some(frame) = resumer.top_frame() {
        // The failed call belongs to the traceback.
        back_to(ctx, thread, resumer);
        resumer.restore_frame();
        frame.kind.set(FrameKind::Native);
    }
    throw(ctx)
}
