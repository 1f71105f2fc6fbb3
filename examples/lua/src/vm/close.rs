//! Variables that are to be closed: when their scope is left, their `__close` metamethods are called.
//!
//! A thread lists the slots of such variables ([`Thread::mark_to_close`]). What leaves scopes takes them
//! off the list, the last one first, and calls their metamethods one after the other. Each of these calls
//! is a frame like any other, so what is to happen after it is in its [`OnReturn`]:
//!
//! | what leaves scopes | the call's `OnReturn` | after it |
//! |---|---|---|
//! | a block, a generic `for` | `Repeat` | the instruction runs again and finds the next variable |
//! | a `return` | `Close` | the next variable, or the return; see [`close_for_return`] |
//! | an error, `coroutine.close` | `Unwind` | the next variable, or what the frame that closes does then; see [`close_next`] |
//!
//! * CL1: a variable leaves the list when the call of its metamethod is certain to begin, so that it
//!   is closed once: an error in the metamethod, or of the call itself, goes on with the next one.
//! * CL2: what such a call keeps (results, an error) is in slots below its function.

use heap_api::Gc;

use crate::error::{Fail, Failure, NoMemory, fail};
use crate::state::{Ctx, Event};
use crate::thread::{FrameKind, OnReturn, Thread};
use crate::value::Value;

use super::describe::local_variable;
use super::raise::unwind;
use super::{Action, Exit};
use super::{coroutine, hook};

/// Slots that are certain to be there for a function that is called, its parameters and what
/// `__call` metamethods add in front of them.
const ROOM: usize = 300;

/// The variable at stack index `index` of the running Lua function is to be closed.
pub(super) fn mark<'gc>(ctx: Ctx<'gc>, index: usize) -> Result<(), Failure<'gc>> {
    let thread = ctx.state.thread.get();
    let value = thread.slot(index).get();
    if value.is_falsy() {
        return Ok(());
    }
    if ctx.metamethod(value, Event::Close).is_nil() {
        let name = local_variable(thread, index).unwrap_or_else(|| "?".to_owned());
        return Err(fail(format!("variable '{name}' got a non-closable value")));
    }
    Ok(thread.mark_to_close(ctx, index)?)
}

/// Makes sure that the call of a metamethod at `func` does not fail for lack of memory (CL1).
fn prepare<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    func: usize,
) -> Result<(), Failure<'gc>> {
    thread.reserve(ctx, func + ROOM)?;
    thread.reserve_frame(ctx)
}

/// Calls the metamethod of the variable at `at`, the next one on the list, with `error`.
fn close_variable<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    at: usize,
    func: usize,
    error: Value<'gc>,
    on_return: OnReturn,
) -> Action {
    thread.unmark_to_close(ctx);
    let value = thread.slot(at).get();
    thread.slot(func).set(ctx.cx, ctx.metamethod(value, Event::Close));
    thread.slot(func + 1).set(ctx.cx, value);
    thread.slot(func + 2).set(ctx.cx, error);
    Action::Call { func, count: 2, on_return }
}

/// For an instruction that leaves a block: closes upvalues from stack index `from` on, and the next
/// variable that is to be closed. `None`: there is none.
pub(super) fn close_for_block<'gc>(
    ctx: Ctx<'gc>,
    from: usize,
    scratch: usize,
) -> Result<Option<Action>, Failure<'gc>> {
    let thread = ctx.state.thread.get();
    thread.close_upvals(ctx, from);
    let Some(at) = thread.to_close_from(from) else { return Ok(None) };
    prepare(ctx, thread, scratch)?;
    Ok(Some(close_variable(ctx, thread, at, scratch, Value::Nil, OnReturn::Repeat)))
}

/// For an instruction that returns `count` values from `from` on and has something to close: as
/// [`close_for_block`], for the whole frame. The calls are made behind the results, and behind two slots
/// that say where these are (CL2).
pub(super) fn close_for_return<'gc>(
    ctx: Ctx<'gc>,
    base: usize,
    (from, count): (usize, usize),
    scratch: usize,
) -> Result<Action, Failure<'gc>> {
    let thread = ctx.state.thread.get();
    thread.close_upvals(ctx, base);
    let results = scratch.max(from + count);
    prepare(ctx, thread, results + 2)?;
    thread.slot(results).set(ctx.cx, Value::Int(from as i64));
    thread.slot(results + 1).set(ctx.cx, Value::Int(count as i64));
    Ok(return_or_close(ctx, thread, results + 2))
}

/// Before the first call that [`close_for_return`] makes at `func`, and after each of them.
pub(super) fn return_or_close<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    func: usize,
) -> Action {
    let Some(frame) = thread.top_frame() else { unreachable!("a function that returns is there") };
    if let Some(at) = thread.to_close_from(frame.base.get() as usize) {
        return close_variable(ctx, thread, at, func, Value::Nil, OnReturn::Close);
    }
    let place = |slot: usize| match thread.slot(slot).get() {
        Value::Int(place) => place as usize,
        _ => unreachable!("CL2: two numbers are below the function"),
    };
    let (from, count) = (place(func - 2), place(func - 1));
    if ctx.host.hooks.is_on() && hook::returning(ctx, from, count) {
        return Action::Leave(Exit::Hook);
    }
    thread.pop_frame();
    let on_return = frame.on_return.get();
    Action::Return { from, count, func: frame.func.get() as usize, on_return }
}

/// For the last frame, which catches the error in the state or closes a coroutine: the call that closes
/// the next variable from stack index `level` on; `None` if there is none. The error is kept below the
/// function (CL2). All frames of the functions whose variables these are have been dropped.
pub(super) fn close_next<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    level: usize,
) -> Option<Action> {
    thread.close_upvals(ctx, level);
    thread.top.set(0);
    let at = thread.to_close_from(level)?;
    let (saved, func) = (at + 1, at + 2);
    thread.end_overflow(ctx, func + ROOM);
    if let Err(failure) = prepare(ctx, thread, func) {
        return Some(not_closed(ctx, &failure));
    }
    let error = ctx.state.error.get();
    thread.slot(saved).set(ctx.cx, error);
    ctx.host.limits.set_closing(Some((thread.addr(), thread.depth() - 1)));
    Some(close_variable(ctx, thread, at, func, error, OnReturn::Unwind))
}

/// There is no room for the call that closes the next variable.
#[cold]
fn not_closed<'gc>(ctx: Ctx<'gc>, failure: &Fail<'gc>) -> Action {
    match failure {
        // The driver collects and comes back.
        Fail::Memory => Action::Leave(Exit::Unwind),
        _ => give_up(ctx, "stack overflow"),
    }
}

/// The next variable cannot be closed: `message` takes the place of the error, and the others are
/// closed.
pub(super) fn give_up<'gc>(ctx: Ctx<'gc>, message: &str) -> Action {
    let out_of_memory = |_: NoMemory| ctx.state.out_of_memory;
    let message = ctx.str(message).unwrap_or_else(out_of_memory);
    ctx.state.thread.get().unmark_to_close(ctx);
    ctx.state.error.set(ctx.cx, Value::Str(message));
    unwind(ctx)
}

/// After a call that [`close_next`] has made at `func`.
pub(super) fn go_on_unwinding<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    func: usize,
) -> Action {
    ctx.state.error.set(ctx.cx, thread.slot(func - 1).get());
    ctx.host.limits.set_closing(None);
    match thread.top_frame() {
        // There is no error yet.
        Some(frame) if frame.kind.get() == FrameKind::Closing => {
            close_next(ctx, thread, 0).unwrap_or_else(|| coroutine::closed(ctx, thread, None))
        }
        _ => unwind(ctx),
    }
}
