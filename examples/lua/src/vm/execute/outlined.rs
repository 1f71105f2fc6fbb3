//! Instructions that are worth a path of their own, but not a place inside the loop: what they do is
//! long beside a call.

use core::cell::Cell;

use heap_api::Gc;

use crate::bytecode::{Count, Op};
use crate::error::{Failure, NoMemory};
use crate::function::{Closure, NativeFn, Proto};
use crate::native::{Body, Call, Done};
use crate::state::Ctx;
use crate::stdlib::base::NEXT;
use crate::thread::{Frame, OnReturn, SPARE, Thread, WINDOW};
use crate::value::Value;

use super::super::Action;
use super::super::call::{
    self, native_failed, store_results, tail_call, varargs, wait_for_driver,
};
use super::super::concat::concat;
use super::general::make_closure;
use super::running::Running;
use super::{Flow, general};

/// Calls a native function that is at `func`, if it has a fast body.
#[inline(always)]
pub(super) fn call_native<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    stack: &'gc [Cell<Value<'gc>>],
    native: Gc<'gc, NativeFn<'gc>>,
    (func, count): (usize, usize),
    wanted: Count,
) -> Flow {
    let (Body::Fast(body) | Body::Either(body, _)) = native.header.def.0.body else {
        return Flow::General;
    };
    match body(&Call::new(ctx, thread, func, count)) {
        Ok(Done::Results(results)) => {
            let is_same = core::ptr::eq(thread.cells(ctx), stack);
            if !is_same || (results, wanted) != (1, Count(1)) {
                store_results(thread.cells(ctx), &thread.top, (func, results), func, wanted);
            }
            if is_same { Flow::Poll } else { Flow::Load }
        }
        Ok(Done::Slow) => unfinished(ctx, thread, None, (func, count), wanted),
        Err(failure) => unfinished(ctx, thread, Some(failure), (func, count), wanted),
    }
}

/// A fast body wants the slow one, or has failed.
#[cold]
#[inline(never)]
fn unfinished<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    failure: Option<Failure<'gc>>,
    (func, count): (usize, usize),
    wanted: Count,
) -> Flow {
    let on_return = OnReturn::Store(wanted);
    let action = match failure {
        None => wait_for_driver(ctx, thread, func, count, on_return),
        Some(failure) => native_failed(ctx, thread, failure, func, count, on_return),
    };
    go_on(ctx, action)
}

/// Does what an instruction has come to.
#[inline(always)]
fn go_on<'gc>(ctx: Ctx<'gc>, result: general::Result<'gc>) -> Flow {
    general::finish(ctx, result).map_or(Flow::Load, Flow::Leave)
}

/// Calls the value at `func` for a `return` of the running frame.
#[inline(never)]
pub(super) fn call_in_place(ctx: Ctx<'_>, func: usize, count: usize, close: bool) -> Flow {
    let thread = ctx.state.thread.get();
    let Some(frame) = thread.top_frame() else { unreachable!("VM2: a thread that runs has a frame") };
    if close {
        thread.close_upvals(ctx, frame.base.get() as usize);
    }
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

/// Fills a fresh table with values.
#[inline(never)]
pub(super) fn set_list<'gc>(
    ctx: Ctx<'gc>,
    table: Value<'gc>,
    values: &[Cell<Value<'gc>>],
    first: u32,
) -> Flow {
    match general::set_list(ctx, table, values, first) {
        Ok(()) => Flow::Poll,
        Err(_) => Flow::General,
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
