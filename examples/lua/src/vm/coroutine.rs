//! Coroutines: switching from thread to thread.
//!
//! A thread that resumes another has a [`FrameKind::Resume`] or [`FrameKind::Wrap`] frame on top
//! while it waits, one that has yielded a [`FrameKind::Yield`] frame. Values move from stack to
//! stack; nothing of Rust's stack is involved.
//!
//! * CO1: switching that fails for lack of memory can be tried again: until everything that can fail
//!   has succeeded, no value and no frame changes its place as seen from a script.

use heap_api::Gc;

use crate::bytecode::MULTI;
use crate::error::{Failure, fail, operation_failed};
use crate::state::Ctx;
use crate::thread::{FrameKind, MAX_NESTING, NESTING_OVERFLOW, OnReturn, Status, Thread};
use crate::value::Value;

use super::Action;
use super::close::close_next;
use super::raise::{fail_wrapped, raise};

/// Why a thread cannot be resumed with values that fill its stack up to `end`, in the words of
/// `coroutine.resume`.
fn refusal<'gc>(
    resumer: Gc<'gc, Thread<'gc>>,
    thread: Gc<'gc, Thread<'gc>>,
    end: usize,
) -> Option<&'static str> {
    match thread.status.get() {
        Status::Suspended if resumer.nesting() > MAX_NESTING => Some(NESTING_OVERFLOW),
        Status::Suspended if !thread.has_room(end) => Some("too many arguments to resume"),
        Status::Suspended => None,
        Status::Dead => Some("cannot resume dead coroutine"),
        Status::Running | Status::Normal => Some("cannot resume non-suspended coroutine"),
    }
}

/// Resumes `target` for the call at `func`, with the `count` values from `args` on. `kind` is the
/// frame that waits.
pub(super) fn resume<'gc>(
    ctx: Ctx<'gc>,
    kind: FrameKind,
    target: Gc<'gc, Thread<'gc>>,
    func: usize,
    (args, count): (usize, usize),
    on_return: OnReturn,
) -> Result<Action, Failure<'gc>> {
    let thread = ctx.state.thread.get();
    // The new thread's function is in slot 0; a yielding call waits at its own place.
    let waiting = target.top_frame();
    let place = waiting.map_or(1, |frame| frame.func.get() as usize);
    if let Some(message) = refusal(thread, target, place + count) {
        if kind == FrameKind::Wrap {
            return Err(fail(message));
        }
        let message = Value::Str(ctx.str(message)?);
        thread.slot(func).set(ctx.cx, Value::False);
        thread.slot(func + 1).set(ctx.cx, message);
        return Ok(Action::Return { from: func, count: 2, func, on_return });
    }
    go_to(ctx, target, place + count, kind, (func, args + count), on_return)?;
    for i in 0..count {
        target.slot(place + i).set(ctx.cx, thread.slot(args + i).get());
    }
    match waiting {
        // A coroutine that has yielded goes on one level deeper than a new one can begin.
        None if target.outer_nesting.get() > MAX_NESTING => {
            Ok(raise(ctx, operation_failed(NESTING_OVERFLOW)))
        }
        None => Ok(Action::Call { func: 0, count, on_return: OnReturn::Store(MULTI) }),
        Some(frame) => {
            target.pop_frame();
            let on_return = frame.on_return.get();
            Ok(Action::Return { from: place, count, func: place, on_return })
        }
    }
}

/// Goes on in `target`, whose stack is in use up to `end`. The thread that runs waits for it in a frame
/// of this kind, with these stack indices of its function and its registers. See [`back_to`].
#[inline]
fn go_to<'gc>(
    ctx: Ctx<'gc>,
    target: Gc<'gc, Thread<'gc>>,
    end: usize,
    kind: FrameKind,
    (func, base): (usize, usize),
    on_return: OnReturn,
) -> Result<(), Failure<'gc>> {
    let thread = ctx.state.thread.get();
    thread.push_frame(ctx, kind, func, base, on_return)?;
    if let Err(failure) = target.unfold(ctx, end) {
        thread.pop_frame();
        return Err(failure);
    }
    target.outer_nesting.set(thread.nesting() + 1);
    thread.status.set(Status::Normal);
    target.status.set(Status::Running);
    target.resumer.set(ctx.cx, Some(thread));
    ctx.state.thread.set(ctx.cx, target);
    Ok(())
}

/// `coroutine.close(target)` at `func`.
pub(super) fn close<'gc>(
    ctx: Ctx<'gc>,
    target: Gc<'gc, Thread<'gc>>,
    func: usize,
    on_return: OnReturn,
) -> Result<Action, Failure<'gc>> {
    let status = target.status.get();
    if !matches!(status, Status::Suspended | Status::Dead) {
        return Err(fail(format!("cannot close a {} coroutine", status.name())));
    }
    let thread = ctx.state.thread.get();
    let Some(last) = target.to_close_from(0) else {
        let error = target.kill(ctx);
        return Ok(close_returns(ctx, thread, func, on_return, error));
    };
    if thread.nesting() > MAX_NESTING {
        return Err(operation_failed(NESTING_OVERFLOW));
    }
    go_to(ctx, target, last + 1, FrameKind::Close, (func, func + 2), on_return)?;
    let death = target.take_death(ctx);
    ctx.state.error.set(ctx.cx, death.unwrap_or(Value::Nil));
    Ok(begin_closing(ctx, target, death.is_some()))
}

/// Closes the variables of the running coroutine, which has ended.
pub(super) fn begin_closing<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    has_failed: bool,
) -> Action {
    let kind = if has_failed { FrameKind::ClosingFailed } else { FrameKind::Closing };
    thread.cut_frames(0);
    if let Err(failure) = thread.push_frame(ctx, kind, 0, 1, OnReturn::Store(MULTI)) {
        // Not for lack of memory: there are frames enough for one.
        return raise(ctx, failure);
    }
    thread.entries.set(1);
    close_next(ctx, thread, 0).unwrap_or_else(|| closed(ctx, thread, None))
}

/// All variables of the running coroutine are closed. `error`: it or one of their metamethods failed.
pub(super) fn closed<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    error: Option<Value<'gc>>,
) -> Action {
    let Some(resumer) = thread.resumer.get() else {
        unreachable!("the main thread is never closed")
    };
    let (func, on_return, kind) = waiting_call(resumer);
    if kind == FrameKind::Wrap || ctx.host.limits.is_stopping() {
        return fail_wrapped(ctx, thread, resumer);
    }
    thread.retire(ctx);
    back_to(ctx, thread, resumer);
    close_returns(ctx, resumer, func, on_return, error)
}

/// The results of `coroutine.close` at `func`.
fn close_returns<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    func: usize,
    on_return: OnReturn,
    error: Option<Value<'gc>>,
) -> Action {
    thread.slot(func).set(ctx.cx, Value::from(error.is_none()));
    if let Some(error) = error {
        thread.slot(func + 1).set(ctx.cx, error);
    }
    let count = 1 + usize::from(error.is_some());
    Action::Return { from: func, count, func, on_return }
}

/// `coroutine.yield` at `func` with `count` arguments.
pub(super) fn suspend<'gc>(
    ctx: Ctx<'gc>,
    func: usize,
    count: usize,
    on_return: OnReturn,
) -> Result<Action, Failure<'gc>> {
    let thread = ctx.state.thread.get();
    let Some(resumer) = thread.resumer.get() else {
        return Err(operation_failed("attempt to yield from outside a coroutine"));
    };
    if thread.entries.get() > 0 {
        return Err(operation_failed("attempt to yield across a C-call boundary"));
    }
    thread.push_frame(ctx, FrameKind::Yield, func, func + 1 + count, on_return)?;
    match hand_over(ctx, thread, resumer, func + 1, count) {
        Ok(action) => {
            thread.status.set(Status::Suspended);
            // The arguments have been handed over.
            if !thread.fold(ctx, func + 1) {
                ctx.state.unfolded_threads.add(ctx.cx, thread);
            }
            Ok(action)
        }
        Err(failure) => {
            thread.pop_frame();
            Err(failure)
        }
    }
}

/// The function of `thread` has returned `count` values from `from` on.
pub(super) fn finish<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    from: usize,
    count: usize,
) -> Result<Action, Failure<'gc>> {
    match thread.resumer.get() {
        Some(resumer) => {
            let action = hand_over(ctx, thread, resumer, from, count)?;
            thread.retire(ctx);
            Ok(action)
        }
        None => unreachable!("the main thread's first frame is an entry from Rust"),
    }
}

/// Gives `count` values of `thread` to the thread that resumed it, and goes on there.
fn hand_over<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    resumer: Gc<'gc, Thread<'gc>>,
    from: usize,
    count: usize,
) -> Result<Action, Failure<'gc>> {
    let (func, on_return, kind) = waiting_call(resumer);
    if !resumer.has_room(func + 1 + count) {
        return Err(operation_failed("stack overflow"));
    }
    resumer.reserve(ctx, func + 1 + count)?;
    back_to(ctx, thread, resumer);
    let prefix = usize::from(kind == FrameKind::Resume);
    if prefix == 1 {
        resumer.slot(func).set(ctx.cx, Value::True);
    }
    for i in 0..count {
        resumer.slot(func + prefix + i).set(ctx.cx, thread.slot(from + i).get());
    }
    Ok(Action::Return { from: func, count: prefix + count, func, on_return })
}

/// The call in which a thread waits for another.
pub(super) fn waiting_call(thread: Gc<'_, Thread<'_>>) -> (usize, OnReturn, FrameKind) {
    match thread.top_frame() {
        Some(frame) => (frame.func.get() as usize, frame.on_return.get(), frame.kind.get()),
        None => unreachable!("a thread that waits has a frame"),
    }
}

/// Makes `resumer` the running thread again and pops the frame in which it waited.
pub(super) fn back_to<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    resumer: Gc<'gc, Thread<'gc>>,
) {
    resumer.pop_frame();
    resumer.status.set(Status::Running);
    thread.resumer.set(ctx.cx, None);
    ctx.state.thread.set(ctx.cx, resumer);
}
