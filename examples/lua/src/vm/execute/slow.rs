//! Slow paths: what an instruction does where its fast path in the loop does not apply. Metamethods,
//! conversions, errors, and whatever is too long to be worth a place in the loop.

use heap_api::{Gc, GcCell};

use crate::bytecode::{Count, Jump, Reg, UpvalSource};
use crate::error::{Failure, NoMemory};
use crate::function::{Closure, Proto, Upval, new_closure};
use crate::state::{Ctx, Event};
use crate::string::Str;
use crate::table::Table;
use crate::thread::{OnReturn, Thread, open_upval};
use crate::value::Value;

use super::super::arith::{Arith, arith};
use super::super::call::{instruction_failed, metamethod, perform, store_results};
use super::super::close::{close_for_block, close_for_return, mark};
use super::super::describe::{Origin, arith_error, order_error, type_error};
use super::super::index::{Indexed, assign, index};
use super::super::{Action, Exit, compare};
use super::running::Running;

/// How the loop goes on after an instruction that has been carried out elsewhere. One byte: what comes
/// back through memory from such a call costs more than a short instruction does.
pub(super) enum Step {
    /// With the next instruction.
    Next,
    /// With the frame that is the last now (EX2).
    Load,
    Leave(Exit),
}

const _: () = assert!(size_of::<Step>() == 1);

/// What the slow path of an operation comes to.
pub(super) enum Slow<'gc> {
    Value(Value<'gc>),
    Act(Action),
}

/// What the slow path of a comparison comes to.
pub(super) enum Test {
    Known(bool),
    Act(Action),
}

/// A string key that a table does not have, looked up through `__index` tables. `None`: there is
/// more to it than tables.
#[inline]
pub(super) fn inherited<'gc>(
    ctx: Ctx<'gc>,
    mut table: Gc<'gc, Table<'gc>>,
    key: Str<'gc>,
) -> Option<Value<'gc>> {
    if table.is_weak() {
        return None;
    }
    // A longer chain is the business of `index`.
    for _ in 0..8 {
        let Some(metatable) = table.metatable() else { return Some(Value::Nil) };
        table = match metatable.cached_metamethod(ctx, Event::Index) {
            None => return Some(Value::Nil),
            Some(Value::Table(next)) => next,
            Some(_) => return None,
        };
        let value = table.get_str(ctx, key);
        if !value.is_nil() {
            return Some(value);
        }
    }
    None
}

#[inline(never)]
pub(super) fn slow_arith<'gc>(
    ctx: Ctx<'gc>,
    op: Arith,
    lhs: Value<'gc>,
    rhs: Value<'gc>,
    scratch: usize,
) -> Result<Slow<'gc>, Failure<'gc>> {
    if let Some(value) = arith(op, lhs, rhs)? {
        return Ok(Slow::Value(value));
    }
    let handler = binary_metamethod(ctx, op.event(), lhs, rhs);
    if handler.is_nil() {
        return Err(arith_error(ctx, op, lhs, rhs));
    }
    Ok(Slow::Act(metamethod(ctx, scratch, handler, [lhs, rhs])))
}

#[inline(never)]
pub(super) fn slow_order<'gc>(
    ctx: Ctx<'gc>,
    event: Event,
    lhs: Value<'gc>,
    rhs: Value<'gc>,
    scratch: usize,
) -> Result<Test, Failure<'gc>> {
    let known = match event {
        Event::Lt => compare::less_than(lhs, rhs),
        _ => compare::less_equal(lhs, rhs),
    };
    if let Some(known) = known {
        return Ok(Test::Known(known));
    }
    let handler = binary_metamethod(ctx, event, lhs, rhs);
    if !handler.is_nil() {
        return Ok(Test::Act(metamethod(ctx, scratch, handler, [lhs, rhs])));
    }
    // Without `__le`, `not (rhs < lhs)` serves, as in real Lua built for compatibility.
    let handler = binary_metamethod(ctx, Event::Lt, rhs, lhs);
    if event == Event::Lt || handler.is_nil() {
        return Err(order_error(ctx, lhs, rhs));
    }
    let Action::Call { func, count, .. } = metamethod(ctx, scratch, handler, [rhs, lhs]) else {
        unreachable!("`metamethod` prepares a call")
    };
    Ok(Test::Act(Action::Call { func, count, on_return: OnReturn::FinishNegated }))
}

/// The metamethod of the first operand that has one.
fn binary_metamethod<'gc>(
    ctx: Ctx<'gc>,
    event: Event,
    lhs: Value<'gc>,
    rhs: Value<'gc>,
) -> Value<'gc> {
    match ctx.metamethod(lhs, event) {
        Value::Nil => ctx.metamethod(rhs, event),
        handler => handler,
    }
}

#[inline(never)]
pub(super) fn slow_equal<'gc>(
    ctx: Ctx<'gc>,
    lhs: Value<'gc>,
    rhs: Value<'gc>,
    scratch: usize,
) -> Test {
    let metatables = match (lhs, rhs) {
        _ if lhs.raw_equal(rhs) => return Test::Known(true),
        (Value::Table(a), Value::Table(b)) => [a.metatable(), b.metatable()],
        (Value::UserData(a), Value::UserData(b)) => [a.metatable.get(), b.metatable.get()],
        _ => return Test::Known(false),
    };
    let mut handlers =
        metatables.into_iter().flatten().filter_map(|m| m.cached_metamethod(ctx, Event::Eq));
    match handlers.next() {
        Some(handler) => Test::Act(metamethod(ctx, scratch, handler, [lhs, rhs])),
        None => Test::Known(false),
    }
}

#[inline(never)]
pub(super) fn slow_len<'gc>(
    ctx: Ctx<'gc>,
    value: Value<'gc>,
    register: Reg,
    scratch: usize,
) -> Result<Slow<'gc>, Failure<'gc>> {
    let handler = ctx.metamethod(value, Event::Len);
    match (handler, value) {
        (Value::Nil, Value::Table(table)) => Ok(Slow::Value(Value::Int(table.length(ctx)))),
        (Value::Nil, _) => Err(type_error(ctx, "get length of", value, Origin::Register(register))),
        // As those of the other unary operators, the metamethod gets its operand twice.
        _ => Ok(Slow::Act(metamethod(ctx, scratch, handler, [value, value]))),
    }
}

#[inline(never)]
pub(super) fn slow_index<'gc>(
    ctx: Ctx<'gc>,
    object: Value<'gc>,
    key: Value<'gc>,
    origin: Origin,
    scratch: usize,
) -> Result<Slow<'gc>, Failure<'gc>> {
    match index(ctx, object, key)? {
        Indexed::Done(value) => Ok(Slow::Value(value)),
        Indexed::Call { handler, object } => {
            Ok(Slow::Act(metamethod(ctx, scratch, handler, [object, key])))
        }
        Indexed::NotIndexable { object, first } => {
            Err(type_error(ctx, "index", object, if first { origin } else { Origin::Unknown }))
        }
    }
}

/// Carries out an assignment, up to the call of a metamethod or an error.
#[inline(never)]
pub(super) fn slow_assign<'gc>(
    ctx: Ctx<'gc>,
    object: Value<'gc>,
    key: Value<'gc>,
    value: Value<'gc>,
    origin: Origin,
    scratch: usize,
) -> Step {
    let assigned = match (object, key) {
        (Value::Table(table), Value::Int(key)) if table.metatable().is_none() => {
            table.set_int(ctx, key, value).map(Indexed::Done).map_err(Failure::from)
        }
        _ => assign(ctx, object, key, value),
    };
    let exit = match assigned {
        Ok(Indexed::Done(())) => return Step::Next,
        Ok(Indexed::Call { handler, object }) => {
            perform(ctx, metamethod(ctx, scratch, handler, [object, key, value]))
        }
        Ok(Indexed::NotIndexable { object, first }) => {
            let origin = if first { origin } else { Origin::Unknown };
            instruction_failed(ctx, type_error(ctx, "index", object, origin))
        }
        Err(failure) => instruction_failed(ctx, failure),
    };
    exit.map_or(Step::Load, Step::Leave)
}

/// What comes of an instruction that may have an action.
fn step<'gc>(ctx: Ctx<'gc>, result: Result<Option<Action>, Failure<'gc>>) -> Step {
    let exit = match result {
        Ok(None) => return Step::Next,
        Ok(Some(action)) => perform(ctx, action),
        Err(failure) => instruction_failed(ctx, failure),
    };
    exit.map_or(Step::Load, Step::Leave)
}

// What follows is marked as cold so that the loop keeps its registers: without that, programs that close
// nothing run up to four percent more instructions.

/// A variable of the running frame is to be closed.
#[cold]
#[inline(never)]
pub(super) fn mark_to_close(ctx: Ctx<'_>, register: Reg) -> Step {
    let running = Running::load(ctx);
    step(ctx, mark(ctx, running.base + register.index()).map(|()| None))
}

/// A generic `for` begins that has something to close. The jump to its first call is in the frame
/// before a safepoint may come.
#[cold]
#[inline(never)]
pub(super) fn enter_for(ctx: Ctx<'_>, closing: Reg, offset: Jump) -> Step {
    match mark_to_close(ctx, closing) {
        Step::Next => {
            let frame = Running::load(ctx).frame;
            frame.pc.set(frame.pc.get().wrapping_add_signed(offset.0));
            Step::Load
        }
        step => step,
    }
}

/// The running frame leaves a block, whose registers begin with `from`.
#[cold]
#[inline(never)]
pub(super) fn close_block(ctx: Ctx<'_>, from: Reg) -> Step {
    let running = Running::load(ctx);
    step(ctx, close_for_block(ctx, running.base + from.index(), running.scratch()))
}

/// The running frame returns, after its variables have been closed.
#[cold]
#[inline(never)]
pub(super) fn return_closing(ctx: Ctx<'_>, first: Reg, count: Count) -> Step {
    let running = Running::load(ctx);
    let (thread, frame, base) = (running.thread, running.frame, running.base);
    let from = base + first.index();
    let count = running.list_len(from, count);
    if thread.to_close_from(base).is_some() {
        let closing = close_for_return(ctx, base, (from, count), running.scratch());
        return step(ctx, closing.map(Some));
    }
    // Most often there is nothing to close: a `return` in a generic `for`.
    thread.close_upvals(ctx, base);
    let (func, on_return) = (frame.func.get() as usize, frame.on_return.get());
    match (on_return, thread.pop_frame()) {
        (OnReturn::Store(wanted), Some(caller)) if caller.kind.get().is_lua() => {
            store_results(ctx, thread, (from, count), func, wanted);
            Step::Load
        }
        _ => step(ctx, Ok(Some(Action::Return { from, count, func, on_return }))),
    }
}

pub(super) fn set_list<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    table: Value<'gc>,
    start: usize,
    count: usize,
    first: u32,
) -> Result<(), NoMemory> {
    let Value::Table(table) = table else { unreachable!("SetList fills a fresh table") };
    let offset = first as usize - 1;
    table.reserve_array(ctx, offset + count)?;
    let values = &thread.stack()[start..start + count];
    for (slot, value) in table.array_part()[offset..].iter().zip(values) {
        slot.set(ctx.cx, value.get());
    }
    Ok(())
}

#[inline(never)]
pub(super) fn make_closure<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    base: usize,
    parent: &'gc [GcCell<Gc<'gc, Upval<'gc>>>],
    proto: Gc<'gc, Proto<'gc>>,
) -> Result<Gc<'gc, Closure<'gc>>, NoMemory> {
    let captures = &proto.as_ref().data.0.upvalues;
    let capture = |i: usize| match captures[i].source {
        UpvalSource::ParentRegister(register) => open_upval(ctx, thread, base + register.index()),
        UpvalSource::ParentUpvalue(upvalue) => Ok(parent[upvalue.0 as usize].get()),
    };
    // Few upvalues are gathered on Rust's stack.
    match captures.len() {
        0 => new_closure(ctx, proto, &[]),
        count @ 1..=8 => {
            let mut upvalues = [capture(0)?; 8];
            for (i, upvalue) in upvalues.iter_mut().enumerate().take(count).skip(1) {
                *upvalue = capture(i)?;
            }
            new_closure(ctx, proto, &upvalues[..count])
        }
        count => {
            let upvalues: Vec<_> = (0..count).map(capture).collect::<Result<_, _>>()?;
            new_closure(ctx, proto, &upvalues)
        }
    }
}
