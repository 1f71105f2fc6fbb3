//! Local variables and upvalues of functions, from outside.

use heap_api::{Gc, GcCell};

use crate::compiler::local_variable;
use crate::error::Failure;
use crate::function::{Closure, Upval};
use crate::native::{Call, NativeResult};
use crate::thread::{Status, Thread};
use crate::value::{Type, Value};
use crate::vm;

use super::level::{Level, thread_argument};

// ---- local variables ----

/// A variable of a call: its name and its slot.
type Variable<'gc> = (Vec<u8>, &'gc GcCell<Value<'gc>>);

/// The level whose number is argument `i`; it must exist.
fn level_argument<'gc>(
    call: &Call<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    i: usize,
) -> Result<Level<'gc>, Failure<'gc>> {
    let level = Level::from_argument(call, thread, i)?;
    level.ok_or_else(|| call.bad_argument(i, "level out of range"))
}

/// Local variable `number` of a call; negative ones are extra arguments. Also values without a name.
fn find_local<'gc>(call: &Call<'gc>, level: Level<'gc>, number: i64) -> Option<Variable<'gc>> {
    let (thread, index) = match level {
        Level::Frame(thread, index) => (thread, index),
        Level::Host(_) => return None,
        Level::Running(_) => {
            let number = usize::try_from(number).ok().filter(|n| (1..=call.count()).contains(n))?;
            return Some((b"(C temporary)".to_vec(), call.thread.slot(call.first() + number - 1)));
        }
    };
    if thread.status.get() == Status::Dead {
        // It has kept the functions, see TH6 of `crate::thread`.
        return None;
    }
    let frame = thread.frame(index);
    let func = frame.func.get() as usize;
    let closure = match level.function() {
        Value::Function(closure) => Some(closure),
        _ => None,
    };
    let data = closure.map(|closure| &closure.as_ref().header.proto.as_ref().data.0);
    if number < 0 {
        let data = data.filter(|data| data.is_vararg)?;
        let first = func + 1 + data.num_params as usize;
        let slot = first + usize::try_from(-(number + 1)).ok()?;
        let is_argument = slot < frame.base.get() as usize;
        return is_argument.then(|| (b"(vararg)".to_vec(), thread.slot(slot)));
    }
    let offset = usize::try_from(number).ok()?.checked_sub(1)?;
    if let Some(data) = data
        && let Some((name, register)) = local_variable(data, vm::current_pc(frame), offset)
    {
        let slot = frame.base.get() as usize + register.index();
        return Some((name.to_vec(), thread.slot(slot)));
    }
    // Other slots in use: up to the function that this one calls, but no more than a function's own
    // registers or arguments. The slots behind them are internal to the virtual machine.
    let own = frame.base.get() as usize;
    let (base, limit, name): (_, _, &[u8]) = match data {
        Some(data) => (own, own + data.max_stack as usize, b"(temporary)"),
        None => (func + 1, own, b"(C temporary)"),
    };
    let end = if index + 1 < thread.depth() {
        thread.frame(index + 1).func.get() as usize
    } else if thread.ptr_eq(call.thread) {
        call.first() - 1
    } else {
        base
    };
    let slot = base.checked_add(offset)?;
    // What a function returns may be a longer list than it has registers.
    let limit = level.transfer().map_or(limit, |values| {
        limit.max(base + values.first as usize - 1 + values.count as usize)
    });
    (slot < end.min(limit)).then(|| (name.to_vec(), thread.slot(slot)))
}

pub(super) fn getlocal<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let (thread, first) = thread_argument(call);
    let number = call.int(first + 1)?;
    match call.arg(first) {
        // The parameters of a function that is not running.
        Value::Function(closure) => {
            let data = &closure.as_ref().header.proto.as_ref().data.0;
            let offset = usize::try_from(number.wrapping_sub(1)).ok();
            match offset.and_then(|offset| local_variable(data, 0, offset)) {
                Some((name, _)) => call.ret(call.ctx.str(name)?),
                None => call.ret(Value::Nil),
            }
        }
        Value::Native(_) => call.ret(Value::Nil),
        _ => {
            let level = level_argument(call, thread, first)?;
            match find_local(call, level, number) {
                Some((name, slot)) => {
                    let name = Value::Str(call.ctx.str(name)?);
                    call.ret_all(&[name, slot.get()])
                }
                None => call.ret(Value::Nil),
            }
        }
    }
}

pub(super) fn setlocal<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let (thread, first) = thread_argument(call);
    call.int(first)?;
    let number = call.int(first + 1)?;
    let level = level_argument(call, thread, first)?;
    let value = call.any(first + 2)?;
    // Library functions may rely on what they have found in their arguments.
    let is_lua = matches!(level.function(), Value::Function(_));
    let found = if is_lua { find_local(call, level, number) } else { None };
    let Some((name, slot)) = found else { return call.ret(Value::Nil) };
    let name = call.ctx.str(name)?;
    slot.set(call.ctx.cx, value);
    call.ret(name)
}

// ---- upvalues ----

/// A Lua function and one of its upvalues.
type Captured<'gc> = (Gc<'gc, Closure<'gc>>, usize);

/// Upvalue number `number` of the function that argument `i` is. Native functions have none here.
fn find_upvalue<'gc>(
    call: &Call<'gc>,
    i: usize,
    number: i64,
) -> Result<Option<Captured<'gc>>, Failure<'gc>> {
    match call.arg(i) {
        Value::Function(closure) => {
            let index =
                usize::try_from(number.wrapping_sub(1)).ok().filter(|i| *i < closure.tail.len());
            Ok(index.map(|index| (closure, index)))
        }
        other if other.ty() == Type::Function => Ok(None),
        _ => Err(call.type_error(i, "function")),
    }
}

fn name_of<'gc>((closure, index): Captured<'gc>) -> &'gc [u8] {
    let data = &closure.as_ref().header.proto.as_ref().data.0;
    match &*data.upvalues[index].name {
        b"" => b"(no name)",
        name => name,
    }
}

fn upvalue_of<'gc>((closure, index): Captured<'gc>) -> Gc<'gc, Upval<'gc>> {
    closure.tail[index].get()
}

/// The values of native functions can be seen, and have the empty name, but not be changed: their
/// functions rely on them.
pub(super) fn getupvalue<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let number = call.int(1)?;
    if let Value::Native(native) = call.arg(0) {
        let index = usize::try_from(number.wrapping_sub(1)).ok();
        return match index.and_then(|index| native.as_ref().tail.get(index)) {
            Some(value) => call.ret_all(&[Value::Str(call.ctx.str("")?), value.get()]),
            None => call.ret_none(),
        };
    }
    match find_upvalue(call, 0, number)? {
        Some(captured) => {
            let name = Value::Str(call.ctx.str(name_of(captured))?);
            call.ret_all(&[name, upvalue_of(captured).get()])
        }
        None => call.ret_none(),
    }
}

pub(super) fn setupvalue<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let value = call.any(2)?;
    let number = call.int(1)?;
    match find_upvalue(call, 0, number)? {
        Some(captured) => {
            let name = call.ctx.str(name_of(captured))?;
            upvalue_of(captured).set(call.ctx, value);
            call.ret(name)
        }
        None => call.ret_none(),
    }
}

/// The address of a variable. A native function has its values to itself: they are named by their
/// function's address and their number, no two of which are at one address.
pub(super) fn upvalueid<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let number = call.int(1)?;
    if let Value::Native(native) = call.arg(0) {
        let index =
            usize::try_from(number.wrapping_sub(1)).ok().filter(|index| *index < native.tail.len());
        let identity = index.map(|index| Value::LightUserData(native.addr() + index + 1));
        return call.ret(identity.unwrap_or(Value::Nil));
    }
    let captured = find_upvalue(call, 0, number)?;
    let identity = captured.map(|captured| Value::LightUserData(upvalue_of(captured).addr()));
    call.ret(identity.unwrap_or(Value::Nil))
}

/// The upvalue that arguments `i` and `i + 1` name; it must exist.
fn joined_argument<'gc>(call: &Call<'gc>, i: usize) -> Result<Captured<'gc>, Failure<'gc>> {
    let number = call.int(i + 1)?;
    let captured = find_upvalue(call, i, number)?;
    captured.ok_or_else(|| call.bad_argument(i + 1, "invalid upvalue index"))
}

pub(super) fn upvaluejoin<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let (closure, index) = joined_argument(call, 0)?;
    let other = upvalue_of(joined_argument(call, 2)?);
    closure.as_ref().tail[index].set(call.ctx.cx, other);
    call.ret_none()
}
