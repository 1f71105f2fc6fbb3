//! Calls and returns: everything that pushes and pops frames.

use core::cell::Cell;

use heap_api::Gc;

use crate::bytecode::{Count, Dst, MULTI, Op, Outcome};
use crate::compiler::describe_call;
use crate::error::{Fail, Failure, operation_failed};
use crate::function::{Closure, NativeFn, Proto};
use crate::native::{Body, Call, Control, Done};
use crate::state::{Ctx, Event};
use crate::stdlib::package::script_to_do;
use crate::thread::{Frame, FrameKind, OnReturn, SPARE, STACK_LIMIT, Thread, WINDOW};
use crate::value::Value;

use super::describe::proto_of;
use super::raise::{handled, raise};
use super::{Action, Exit, close, concat, coroutine, describe, hook};

/// Carries out actions until the interpreter loop can go on (`None`) or must be left.
#[inline]
pub(super) fn perform(ctx: Ctx<'_>, action: Action) -> Option<Exit> {
    // Most often a Lua function is to be called, such as a metamethod, and its frame can be pushed
    // at once.
    if let Action::Call { func, count, on_return } = action {
        let thread = ctx.state.thread.get();
        if let Value::Function(closure) = thread.slot(func).get()
            && enter_at_once(ctx, thread, closure, func, count, on_return)
        {
            return None;
        }
    }
    perform_all(ctx, action)
}

/// Pushes the frame of a Lua function, if there is room on both stacks and nothing unusual about it.
#[inline]
pub(super) fn enter_at_once<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    closure: Gc<'gc, Closure<'gc>>,
    func: usize,
    count: usize,
    on_return: OnReturn,
) -> bool {
    let data = &closure.as_ref().header.proto.as_ref().data.0;
    let base = func + 1;
    let stack = thread.cells(ctx);
    if data.is_vararg || base + WINDOW + SPARE > stack.len() {
        return false;
    }
    if !thread.try_push_lua_frame(func, base, on_return) {
        return false;
    }
    for missing in count..data.num_params as usize {
        stack[base + missing].set(Value::Nil);
    }
    true
}

/// Pushes the frames of a call from Rust, of the value at `func` with `count` arguments, if that is
/// a Lua function whose frame can be pushed at once.
#[inline]
pub(super) fn enter_from_rust(ctx: Ctx<'_>, func: usize, count: usize) -> bool {
    let thread = ctx.state.thread.get();
    let stack = thread.cells(ctx);
    let Value::Function(closure) = stack[func].get() else { return false };
    let data = &closure.as_ref().header.proto.as_ref().data.0;
    let base = func + 1;
    if data.is_vararg
        || base + count + WINDOW + SPARE > stack.len()
        || !thread.try_push_entry(func, count)
    {
        return false;
    }
    for missing in count..data.num_params as usize {
        stack[base + missing].set(Value::Nil);
    }
    true
}

#[inline(never)]
fn perform_all(ctx: Ctx<'_>, mut action: Action) -> Option<Exit> {
    let mut from_instruction = true;
    loop {
        let thread = ctx.state.thread.get();
        let result = match action {
            Action::Go => return None,
            Action::Leave(exit) => return Some(exit),
            Action::Call { func, count, on_return } => call(ctx, thread, func, count, on_return),
            Action::Return { from, count, func, on_return } => {
                finish_call(ctx, thread, (from, count), func, on_return)
            }
        };
        action = match result {
            Ok(next) => next,
            Err(failure) => {
                let repeatable = from_instruction
                    && matches!(*failure, Fail::Memory)
                    && matches!(action, Action::Call { on_return, .. } if !matches!(on_return, OnReturn::Concat(_)));
                let called_for = match thread.top_frame() {
                    // The instruction has failed and will fail again.
                    Some(frame) if repeatable && frame.kind.get() == FrameKind::Handler => {
                        thread.entries.set(thread.entries.get() - 1);
                        thread.pop_frame()
                    }
                    last => last,
                };
                match called_for {
                    Some(frame) if repeatable && frame.kind.get().is_lua() => {
                        frame.pc.set(frame.pc.get() - 1);
                        return Some(Exit::Memory);
                    }
                    _ => raise(ctx, failure),
                }
            }
        };
        from_instruction = false;
    }
}

/// An instruction of the running frame failed; `pc` is saved.
#[cold]
#[inline(never)]
pub(super) fn instruction_failed<'gc>(ctx: Ctx<'gc>, failure: Failure<'gc>) -> Option<Exit> {
    if let (Fail::Memory, Some(frame)) = (&*failure, ctx.state.thread.get().top_frame()) {
        frame.pc.set(frame.pc.get() - 1);
        return Some(Exit::Memory);
    }
    perform(ctx, raise(ctx, failure))
}

/// Calls `handler(args...)` for the instruction that the running frame is at.
pub(super) fn metamethod<'gc, const N: usize>(
    ctx: Ctx<'gc>,
    scratch: usize,
    handler: Value<'gc>,
    args: [Value<'gc>; N],
) -> Action {
    let slots = &ctx.state.thread.get().cells(ctx)[scratch..=scratch + N];
    slots[0].set(handler);
    for (slot, arg) in slots[1..].iter().zip(args) {
        slot.set(arg);
    }
    Action::Call { func: scratch, count: N, on_return: OnReturn::Finish }
}

// ---- calls ----

/// Replaces a callable object at `func` by its `__call` metamethod with the object as first
/// argument, until there is a function. Returns the number of arguments.
#[inline(always)]
fn resolve_callable<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    func: usize,
    count: usize,
) -> Result<usize, Failure<'gc>> {
    if is_function(thread.slot(func).get()) {
        return Ok(count);
    }
    resolve_object(ctx, thread, func, count)
}

/// As [`resolve_callable`], for a value that is not a function.
#[inline(never)]
fn resolve_object<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    func: usize,
    count: usize,
) -> Result<usize, Failure<'gc>> {
    let mut callee = thread.slot(func).get();
    // The arguments move once, however long the chain is. An endless chain runs out of slots.
    let mut added = 0;
    while !is_function(callee) {
        let handler = ctx.metamethod(callee, Event::Call);
        if handler.is_nil() {
            return Err(not_callable(ctx, thread, callee));
        }
        added += 1;
        if added > 2 * STACK_LIMIT {
            break;
        }
        callee = handler;
    }
    thread.reserve(ctx, func + count + added + 1)?;
    for i in (func + 1..=func + count).rev() {
        thread.slot(i + added).set(ctx.cx, thread.slot(i).get());
    }
    let mut callee = thread.slot(func).get();
    for i in (0..=added).rev() {
        thread.slot(func + i).set(ctx.cx, callee);
        callee = ctx.metamethod(callee, Event::Call);
    }
    Ok(count + added)
}

fn is_function(value: Value<'_>) -> bool {
    matches!(value, Value::Function(_) | Value::Native(_))
}

#[cold]
fn not_callable<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    object: Value<'gc>,
) -> Failure<'gc> {
    let named = thread.top_frame().and_then(|frame| {
        let proto = proto_of(thread, frame)?;
        let (kind, name) = describe_call(&proto.data.0, describe::current_pc(frame))?;
        Some(format!(" ({kind} '{name}')"))
    });
    let type_name = describe::type_name(ctx, object);
    operation_failed(format!("attempt to call a {type_name} value{}", named.unwrap_or_default()))
}

fn call<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    func: usize,
    count: usize,
    on_return: OnReturn,
) -> Result<Action, Failure<'gc>> {
    match thread.slot(func).get() {
        Value::Function(closure) => {
            enter(ctx, thread, closure, func, count, on_return)?;
            Ok(Action::Go)
        }
        Value::Native(native) => call_native(ctx, thread, native, func, count, on_return),
        _ => {
            // Arguments have moved: from here on the instruction cannot run again (VM1).
            let count = resolve_object(ctx, thread, func, count)?;
            call(ctx, thread, func, count, on_return).map_err(final_failure)
        }
    }
}

fn final_failure(failure: Failure<'_>) -> Failure<'_> {
    match *failure {
        Fail::Memory => Box::new(Fail::MemoryFinal),
        _ => failure,
    }
}

/// Pushes the frame of a Lua function.
#[inline(always)]
pub(super) fn enter<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    closure: Gc<'gc, Closure<'gc>>,
    func: usize,
    count: usize,
    on_return: OnReturn,
) -> Result<&'gc Frame, Failure<'gc>> {
    let data = &closure.as_ref().header.proto.as_ref().data.0;
    if data.is_vararg {
        return enter_vararg(ctx, thread, data.num_params as usize, func, count, on_return);
    }
    let base = func + 1;
    thread.reserve(ctx, base)?;
    let frame = thread.push_frame(ctx, FrameKind::Lua, func, base, on_return)?;
    for i in count..data.num_params as usize {
        thread.slot(base + i).set(ctx.cx, Value::Nil);
    }
    Ok(frame)
}

/// A vararg function's registers begin after its arguments; the fixed ones are copied there.
#[inline]
pub(super) fn enter_vararg<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    params: usize,
    func: usize,
    count: usize,
    on_return: OnReturn,
) -> Result<&'gc Frame, Failure<'gc>> {
    let base = func + 1 + count.max(params);
    thread.reserve(ctx, base)?;
    let frame = thread.push_frame(ctx, FrameKind::Lua, func, base, on_return)?;
    copy_params(ctx, thread, params, func, count, base);
    Ok(frame)
}

fn copy_params<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    params: usize,
    func: usize,
    count: usize,
    base: usize,
) {
    for i in 0..params {
        let slot = thread.slot(func + 1 + i);
        let value = if i < count { slot.get() } else { Value::Nil };
        thread.slot(base + i).set(ctx.cx, value);
        slot.set(ctx.cx, Value::Nil);
    }
}

/// Calls the value at `from` for a `return` of the running frame. [`Action::Go`]: it is a Lua function
/// and has taken over the frame.
#[inline(never)]
pub(super) fn tail_call<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    frame: &Frame,
    func: usize,
    given: usize,
) -> Result<Action, Failure<'gc>> {
    let count = resolve_callable(ctx, thread, func, given)?;
    let Value::Function(closure) = thread.slot(func).get() else {
        return Ok(Action::Call { func, count, on_return: OnReturn::Tail });
    };
    let entered = tail_enter(ctx, thread, frame, closure, func, count);
    // Where arguments have moved, the instruction cannot run again (VM1).
    if count == given {
        entered?
    } else {
        entered.map_err(final_failure)?
    }
    Ok(Action::Go)
}

/// Puts a Lua function in the place of its caller, whose frame it takes over.
#[inline(always)]
fn tail_enter<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    frame: &Frame,
    closure: Gc<'gc, Closure<'gc>>,
    from: usize,
    count: usize,
) -> Result<(), Failure<'gc>> {
    let data = &closure.as_ref().header.proto.as_ref().data.0;
    let params = data.num_params as usize;
    let func = frame.func.get() as usize;
    let base = if data.is_vararg { func + 1 + count.max(params) } else { func + 1 };
    thread.reserve(ctx, base + count)?;
    let stack = thread.stack();
    for i in 0..=count {
        stack[func + i].set(ctx.cx, stack[from + i].get());
    }
    if data.is_vararg {
        copy_params(ctx, thread, params, func, count, base);
    } else {
        for i in count..params {
            stack[base + i].set(ctx.cx, Value::Nil);
        }
    }
    frame.refill_for_tail_call(base);
    Ok(())
}

/// The extra arguments of a vararg frame: where they begin and how many there are.
#[inline(always)]
pub(super) fn varargs(frame: &Frame, params: usize) -> (usize, usize) {
    let start = frame.func.get() as usize + 1 + params;
    (start, frame.base.get() as usize - start)
}

/// Calls a native function.
pub(super) fn call_native<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    native: Gc<'gc, NativeFn<'gc>>,
    func: usize,
    count: usize,
    on_return: OnReturn,
) -> Result<Action, Failure<'gc>> {
    if ctx.host.hooks.is_on()
        && let Some(action) = hook::before_native(ctx, thread, func, count, on_return)?
    {
        return Ok(action);
    }
    match native.header.def.0.body {
        Body::Fast(body) | Body::Either(body, _) => {
            thread.reserve(ctx, func + count)?;
            match body(&Call::new(ctx, thread, func, count)) {
                Ok(Done::Results(results)) => {
                    Ok(Action::Return { from: func, count: results, func, on_return })
                }
                Ok(Done::Slow) => wait_for_driver(ctx, thread, func, count, on_return),
                Err(failure) => native_failed(ctx, thread, failure, func, count, on_return),
            }
        }
        Body::Slow(_) => wait_for_driver(ctx, thread, func, count, on_return),
        Body::Control(control) => {
            let result = call_control(ctx, thread, native, control, func, count, on_return);
            let is_repeatable = matches!(
                control,
                Control::Resume
                    | Control::Wrapped
                    | Control::Yield
                    | Control::Close
                    | Control::DoFile
            );
            if is_repeatable && matches!(&result, Err(failure) if matches!(**failure, Fail::Memory))
            {
                // The driver collects and tries again.
                let action = wait_for_driver(ctx, thread, func, count, on_return)?;
                ctx.host.failed_attempts.set(ctx.host.failed_attempts.get() + 1);
                return Ok(action);
            }
            // The failed function belongs to the traceback.
            if result.is_err() {
                push_native(ctx, thread, func, count, on_return)?;
            }
            result
        }
    }
}

/// Leaves a native frame for the driver, which has `&mut Cx`.
#[inline(never)]
pub(super) fn wait_for_driver<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    func: usize,
    count: usize,
    on_return: OnReturn,
) -> Result<Action, Failure<'gc>> {
    push_native(ctx, thread, func, count, on_return)?;
    Ok(Action::Leave(Exit::Native))
}

pub(super) fn push_native<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    func: usize,
    count: usize,
    on_return: OnReturn,
) -> Result<(), Failure<'gc>> {
    let end = func + 1 + count;
    thread.reserve(ctx, end)?;
    thread.push_frame(ctx, FrameKind::Native, func, end, on_return)?;
    thread.top.set(end as u32);
    Ok(())
}

/// A fast body failed. Without memory the driver collects and tries once more.
#[cold]
#[inline(never)]
pub(super) fn native_failed<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    failure: Failure<'gc>,
    func: usize,
    count: usize,
    on_return: OnReturn,
) -> Result<Action, Failure<'gc>> {
    push_native(ctx, thread, func, count, on_return)?;
    match *failure {
        Fail::Memory => Ok(Action::Leave(Exit::Native)),
        _ => Err(failure),
    }
}

fn call_control<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    native: Gc<'gc, NativeFn<'gc>>,
    control: Control,
    func: usize,
    count: usize,
    on_return: OnReturn,
) -> Result<Action, Failure<'gc>> {
    let call = Call::new(ctx, thread, func, count);
    match control {
        Control::Pcall => {
            call.any(0)?;
            thread.push_frame(ctx, FrameKind::Pcall, func, func + 1 + count, on_return)?;
            if let Err(failure) = thread.check_nesting() {
                return Ok(raise(ctx, failure));
            }
            let on_return = OnReturn::Store(MULTI);
            Ok(Action::Call { func: func + 1, count: count - 1, on_return })
        }
        Control::Xpcall => {
            let handler = call.arg(1);
            if !is_function(handler) {
                return Err(call.type_error(1, "function"));
            }
            // The callee must be right before its arguments.
            thread.slot(func + 2).set(ctx.cx, call.arg(0));
            thread.slot(func + 1).set(ctx.cx, handler);
            thread.push_frame(ctx, FrameKind::Xpcall, func, func + 1 + count, on_return)?;
            if let Err(failure) = thread.check_nesting() {
                return Ok(raise(ctx, failure));
            }
            let on_return = OnReturn::Store(MULTI);
            Ok(Action::Call { func: func + 2, count: count - 2, on_return })
        }
        Control::Resume => {
            let Value::Thread(target) = call.arg(0) else {
                return Err(call.type_error(0, "thread"));
            };
            let args = (func + 2, count - 1);
            coroutine::resume(ctx, FrameKind::Resume, target, func, args, on_return)
        }
        Control::Wrapped => {
            let Value::Thread(target) = native.tail[0].get() else {
                unreachable!("coroutine.wrap stores a thread")
            };
            coroutine::resume(ctx, FrameKind::Wrap, target, func, (func + 1, count), on_return)
        }
        Control::Pairs => {
            let object = call.any(0)?;
            let handler = ctx.metamethod(object, Event::Pairs);
            if handler.is_nil() {
                let next = native.tail[0].get();
                call.place(&[next, object, Value::Nil]);
                return Ok(Action::Return { from: func, count: 3, func, on_return });
            }
            thread.slot(func + 2).set(ctx.cx, object);
            thread.slot(func + 1).set(ctx.cx, handler);
            thread.push_frame(ctx, FrameKind::Passing, func, func + 3, on_return)?;
            Ok(Action::Call { func: func + 1, count: 1, on_return: OnReturn::Store(Count(3)) })
        }
        Control::DoFile => {
            let script = script_to_do(&call)?;
            thread.reserve(ctx, func + 1)?;
            thread.slot(func + 1).set(ctx.cx, Value::Function(script));
            thread.push_frame(ctx, FrameKind::Passing, func, func + 2, on_return)?;
            let on_return = OnReturn::Store(MULTI);
            Ok(Action::Call { func: func + 1, count: 0, on_return })
        }
        Control::Yield => coroutine::suspend(ctx, func, count, on_return),
        Control::Close => match call.arg(0) {
            Value::Thread(target) => coroutine::close(ctx, target, func, on_return),
            _ => Err(call.type_error(0, "thread")),
        },
    }
}

// ---- returns ----

/// Moves `count` values at `from` down to `to`, as many as are wanted; sets `top` if all are.
#[inline(never)]
pub(super) fn store_results<'gc>(
    stack: &[Cell<Value<'gc>>],
    top: &Cell<u32>,
    (from, count): (usize, usize),
    to: usize,
    wanted: Count,
) -> usize {
    let wanted = wanted.fixed().unwrap_or_else(|| {
        top.set((to + count) as u32);
        count
    });
    let moved = wanted.min(count);
    if from != to {
        for i in 0..moved {
            stack[to + i].set(stack[from + i].get());
        }
    }
    for slot in &stack[to + moved..to + wanted] {
        slot.set(Value::Nil);
    }
    wanted
}

/// A call is done and its frame popped: gives its results to the frame that is now the last.
fn finish_call<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    (from, count): (usize, usize),
    func: usize,
    on_return: OnReturn,
) -> Result<Action, Failure<'gc>> {
    let first = || if count > 0 { thread.slot(from).get() } else { Value::Nil };
    match on_return {
        OnReturn::Store(wanted) => {
            let stored = store_results(thread.cells(ctx), &thread.top, (from, count), func, wanted);
            return_to_frame(ctx, thread, func, stored)
        }
        OnReturn::Finish => {
            finish_instruction(ctx, thread, first());
            Ok(Action::Go)
        }
        OnReturn::FinishNegated => {
            finish_instruction(ctx, thread, Value::from(first().is_falsy()));
            Ok(Action::Go)
        }
        OnReturn::Concat(left) => {
            continue_concat(ctx, thread, first(), left).map_err(final_failure)
        }
        OnReturn::Tail => {
            let Some(caller) = thread.top_frame() else { unreachable!("a tail call has a caller") };
            if ctx.host.hooks.is_on() && hook::returning(ctx, from, count) {
                return Ok(Action::Leave(Exit::Hook));
            }
            thread.pop_frame();
            let (func, on_return) = (caller.func.get() as usize, caller.on_return.get());
            Ok(Action::Return { from, count, func, on_return })
        }
        OnReturn::Repeat => {
            let (frame, _) = lua_frame(thread);
            frame.pc.set(frame.pc.get() - 1);
            Ok(Action::Go)
        }
        OnReturn::Close => Ok(close::return_or_close(ctx, thread, func)),
        OnReturn::Unwind => Ok(close::go_on_unwinding(ctx, thread, func)),
    }
}

/// The last frame has `count` values at `func`, the results of a call that it made.
fn return_to_frame<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    func: usize,
    count: usize,
) -> Result<Action, Failure<'gc>> {
    let Some(frame) = thread.top_frame() else {
        return coroutine::finish(ctx, thread, func, count);
    };
    let place = frame.func.get() as usize;
    let on_return = frame.on_return.get();
    match frame.kind.get() {
        FrameKind::Lua | FrameKind::LuaTail => Ok(Action::Go),
        FrameKind::Pcall | FrameKind::Xpcall => {
            // The results follow the slot that takes the status.
            thread.pop_frame();
            let from = func - 1;
            thread.slot(from).set(ctx.cx, Value::True);
            Ok(Action::Return { from, count: count + 1, func: place, on_return })
        }
        FrameKind::Passing => {
            thread.pop_frame();
            Ok(Action::Return { from: func, count, func: place, on_return })
        }
        FrameKind::Entry | FrameKind::Hook | FrameKind::Finalizer => {
            thread.pop_frame();
            thread.entries.set(thread.entries.get() - 1);
            Ok(Action::Leave(Exit::Returned))
        }
        FrameKind::Hooked => Ok(hook::native_returned(ctx, thread, func, count)),
        FrameKind::Handler => Ok(handled(ctx, thread, func)),
        FrameKind::Native
        | FrameKind::Resume
        | FrameKind::Wrap
        | FrameKind::Close
        | FrameKind::Yield => {
            unreachable!("these frames wait for the driver or for another thread")
        }
        FrameKind::Closing | FrameKind::ClosingFailed => {
            unreachable!("what these frames call has results that no frame gets")
        }
        FrameKind::Failed => unreachable!("TH6: nothing returns to these frames"),
    }
}

/// Ends the instruction whose metamethod returned `value`.
fn finish_instruction<'gc>(ctx: Ctx<'gc>, thread: Gc<'gc, Thread<'gc>>, value: Value<'gc>) {
    let (frame, proto) = lua_frame(thread);
    let pc = frame.pc.get();
    match proto.data.0.code[pc as usize - 1].outcome() {
        Some(Outcome::Register(Dst(dst))) => {
            thread.slot(frame.base.get() as usize + dst.index()).set(ctx.cx, value);
        }
        Some(Outcome::Branch { when, offset }) => {
            if when != value.is_falsy() {
                frame.pc.set(pc.wrapping_add_signed(offset.0));
            }
        }
        Some(Outcome::Discard | Outcome::Concat) | None => {}
    }
}

fn continue_concat<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    value: Value<'gc>,
    left: u8,
) -> Result<Action, Failure<'gc>> {
    let (frame, proto) = lua_frame(thread);
    let data = &proto.data.0;
    let Op::Concat { dst, first, .. } = data.code[frame.pc.get() as usize - 1] else {
        unreachable!("only a concatenation is continued")
    };
    let base = frame.base.get() as usize;
    thread.slot(base + first.index() + left as usize - 1).set(ctx.cx, value);
    let scratch = base + data.max_stack as usize;
    concat::concat(ctx, thread, base, scratch, (dst, first), left)
}

fn lua_frame<'gc>(thread: Gc<'gc, Thread<'gc>>) -> (&'gc Frame, &'gc Proto<'gc>) {
    let found = thread.top_frame().and_then(|frame| Some((frame, proto_of(thread, frame)?)));
    match found {
        Some(found) => found,
        None => unreachable!("only Lua functions run instructions"),
    }
}
