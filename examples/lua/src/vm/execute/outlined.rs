//! Instructions that are worth a path of their own, but not a place inside the loop: what they do is
//! long beside a call.

use core::cell::Cell;

use heap_api::Gc;

use crate::bytecode::{Count, MULTI, Op};
use crate::error::NoMemory;
use crate::function::{Closure, NativeFn, Proto};
use crate::native::{Body, Call, Done, NativeResult};
use crate::state::Ctx;
use crate::stdlib::base::NEXT;
use crate::thread::{Frame, OnReturn, SPARE, Thread, WINDOW};
use crate::value::Value;

use super::super::call::{
    self, enter_at_once, metamethod, native_failed, store_results, tail_call, varargs,
    wait_for_driver,
};
use super::super::concat::concat;
use super::super::describe::proto_of;
use super::super::{Action, Exit};
use super::general::make_closure;
use super::running::Running;
use super::{Flow, general};

/// Calls a native function that is at `func`, if it has a fast body: the number of its results, which are
/// there then; the stack has not been replaced.
#[inline(always)]
pub(super) fn call_native<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    stack: &'gc [Cell<Value<'gc>>],
    native: Gc<'gc, NativeFn<'gc>>,
    (func, count): (usize, usize),
    on_return: OnReturn,
) -> Result<usize, Flow> {
    let (Body::Fast(body) | Body::Either(body, _)) = native.header.def.0.body else {
        let action = Action::Call { func, count, on_return };
        return Err(go_on(ctx, Ok(action)));
    };
    match body(&Call::new(ctx, thread, func, count)) {
        Ok(Done::Results(results)) if core::ptr::eq(thread.cells(ctx), stack) => Ok(results),
        result => Err(go_on_after_native(ctx, thread, result, (func, count), on_return)),
    }
}

/// A fast body wants the slow one, or has failed, or has made the stack longer.
#[cold]
#[inline(never)]
fn go_on_after_native<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    result: NativeResult<'gc>,
    (func, count): (usize, usize),
    on_return: OnReturn,
) -> Flow {
    let action = match result {
        Ok(Done::Results(count)) => Ok(Action::Return { from: func, count, func, on_return }),
        Ok(Done::Slow) => wait_for_driver(ctx, thread, func, count, on_return),
        Err(failure) => native_failed(ctx, thread, failure, func, count, on_return),
    };
    go_on(ctx, action)
}

/// Acts on the outcome of an instruction.
#[inline(always)]
fn go_on<'gc>(ctx: Ctx<'gc>, result: general::Result<'gc>) -> Flow {
    general::finish(ctx, result).map_or(Flow::Load, Flow::Leave)
}

/// Calls the value at `func` for a `return` of the running frame.
#[inline(never)]
pub(super) fn call_in_place(ctx: Ctx<'_>, func: usize, count: usize) -> Flow {
    let thread = ctx.state.thread.get();
    let Some(frame) = thread.top_frame() else {
        unreachable!("VM2: a thread that runs has a frame")
    };
    let action = match thread.slot(func).get() {
        Value::Native(_) => Ok(Action::Call { func, count, on_return: OnReturn::Tail }),
        _ => tail_call(ctx, thread, frame, func, count),
    };
    go_on(ctx, action)
}

/// Enters a function that keeps extra arguments, if there is room for them.
#[inline(never)]
pub(super) fn enter_vararg<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    closure: &'gc Closure<'gc>,
    (func, count): (usize, usize),
    wanted: Count,
) -> Flow {
    let params = closure.header.proto.as_ref().data.0.num_params as usize;
    let on_return = OnReturn::Store(wanted);
    match call::enter_vararg(ctx, thread, params, func, count, on_return) {
        Ok(_) => Flow::Load,
        Err(failure) => go_on(ctx, Err(failure)),
    }
}

/// Copies the running frame's extra arguments to stack index `to`, if the stack is long enough.
#[inline(never)]
pub(super) fn copy_varargs<'gc>(
    stack: &[Cell<Value<'gc>>],
    top: &Cell<u32>,
    frame: &Frame,
    params: u8,
    to: usize,
    count: Count,
) -> Flow {
    let (from, available) = varargs(frame, params as usize);
    if to + available + WINDOW + SPARE > stack.len() {
        return Flow::General;
    }
    store_results(stack, top, (from, available), to, count);
    Flow::Next
}

/// Returns a value from a function that Rust or `pcall` has called. The general path handles all
/// other returns to a caller that is not a Lua function.
#[inline(never)]
pub(super) fn leave_to_native<'gc>(
    thread: Gc<'gc, Thread<'gc>>,
    stack: &[Cell<Value<'gc>>],
    frame: &Frame,
    value: Value<'gc>,
) -> Flow {
    if frame.on_return.get() != OnReturn::Store(MULTI) {
        return Flow::General;
    }
    let func = frame.func.get() as usize;
    if thread.pop_to_entry() {
        stack[func].set(value);
        thread.top.set(func as u32 + 1);
        return Flow::Leave(Exit::Returned);
    }
    if let Some(wanted) = thread.pop_to_caller_of_pcall() {
        // The function that was called is the first argument of `pcall`.
        let pcall = func - 1;
        stack[pcall].set(Value::True);
        stack[func].set(value);
        store_results(stack, &thread.top, (pcall, 2), pcall, wanted);
        return Flow::Load;
    }
    Flow::General
}

/// Calls a metamethod that is a Lua function for the instruction that the running frame is at; says
/// whether it did. `pc` is saved.
#[inline]
pub(super) fn enter_metamethod<'gc, const N: usize>(
    ctx: Ctx<'gc>,
    handler: Value<'gc>,
    args: [Value<'gc>; N],
) -> bool {
    let Value::Function(closure) = handler else { return false };
    let thread = ctx.state.thread.get();
    let Some(proto) = thread.top_frame().and_then(|frame| proto_of(thread, frame)) else {
        return false;
    };
    let Some(frame) = thread.top_frame() else { return false };
    let scratch = frame.base.get() as usize + proto.data.0.max_stack as usize;
    let Action::Call { func, count, on_return } = metamethod(ctx, scratch, handler, args) else {
        return false;
    };
    enter_at_once(ctx, thread, closure, func, count, on_return)
}

/// Concatenates registers.
#[inline(never)]
pub(super) fn concatenate(ctx: Ctx<'_>) -> Flow {
    let running = Running::load(ctx);
    let Op::Concat { dst, first, count } = running.current() else {
        unreachable!("the loop is at a concatenation")
    };
    let (base, scratch) = (running.base(), running.scratch());
    match concat(ctx, running.thread, base, scratch, (dst, first), count) {
        Ok(Action::Go) => Flow::Poll,
        result => go_on(ctx, result),
    }
}

/// Fills a table with values, if there is memory for them.
#[inline(never)]
pub(super) fn set_list<'gc>(
    ctx: Ctx<'gc>,
    table: Value<'gc>,
    values: &[Cell<Value<'gc>>],
    first: u32,
) -> Flow {
    match table {
        Value::Table(table) if general::set_list(ctx, table, values, first).is_ok() => Flow::Poll,
        _ => Flow::General,
    }
}

/// If a generic `for` calls `next` for a table, does that without a call: the first `count` of `to` get
/// the results.
#[inline(never)]
pub(super) fn next_entry<'gc>(
    [iterator, state, control]: [Value<'gc>; 3],
    to: &[Cell<Value<'gc>>],
    count: u8,
) -> bool {
    let (Value::Native(native), Value::Table(table)) = (iterator, state) else { return false };
    if !core::ptr::eq(native.header.def.0, &raw const NEXT) {
        return false;
    }
    let Ok(entry) = table.ordinary_next(control) else { return false };
    let (key, value) = entry.unwrap_or((Value::Nil, Value::Nil));
    to[0].set(key);
    to[1].set(value);
    for rest in to[..count as usize].iter().skip(2) {
        rest.set(Value::Nil);
    }
    true
}

/// Makes a function of the running one's.
#[inline(never)]
pub(super) fn close_over<'gc>(
    ctx: Ctx<'gc>,
    proto: Gc<'gc, Proto<'gc>>,
) -> Result<Gc<'gc, Closure<'gc>>, NoMemory> {
    make_closure(ctx, &Running::load(ctx), proto)
}
