//! Messages for values of the wrong type, with the variable's name where the code tells it.

use heap_api::Gc;

use crate::bytecode::{Op, Operand, Reg, Up};
use crate::compiler::{NameKind, describe_call, describe_register, upvalue_name};
use crate::error::{Failure, fail};
use crate::function::Proto;
use crate::state::{Ctx, Event};
use crate::thread::{Frame, Thread};
use crate::value::Value;

use super::arith::Arith;

/// Where an operand came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// A register of the running frame.
    Register(Reg),
    /// An upvalue of the running function.
    Upvalue(Up),
    /// Somewhere else.
    Unknown,
}

/// The prototype of a Lua frame.
pub(super) fn proto_of<'gc>(
    thread: Gc<'gc, Thread<'gc>>,
    frame: &Frame,
) -> Option<&'gc Proto<'gc>> {
    match thread.slot(frame.func.get() as usize).get() {
        Value::Function(closure) if frame.kind.get().is_lua() => {
            Some(closure.as_ref().header.proto.as_ref())
        }
        _ => None,
    }
}

/// The instruction that a Lua frame is at.
#[must_use]
pub fn current_pc(frame: &Frame) -> usize {
    frame.pc.get().saturating_sub(1) as usize
}

/// The line that a Lua frame is at.
#[must_use]
pub fn current_line<'gc>(thread: Gc<'gc, Thread<'gc>>, frame: &Frame) -> Option<u32> {
    proto_of(thread, frame)?.data.0.line_info.get(current_pc(frame)).copied()
}

/// The caller's name for the function that it is calling: the kind of the name, and the name.
#[must_use]
pub fn name_of_call<'gc>(thread: Gc<'gc, Thread<'gc>>, caller: &Frame) -> Option<(String, String)> {
    let proto = proto_of(thread, caller)?;
    let (kind, name) = describe_call(&proto.data.0, current_pc(caller))?;
    Some((kind.to_string(), name))
}

/// The name of the local variable at stack index `index` of the running Lua function.
pub(super) fn local_variable<'gc>(thread: Gc<'gc, Thread<'gc>>, index: usize) -> Option<String> {
    let frame = thread.top_frame()?;
    let proto = proto_of(thread, frame)?;
    let register = Reg((index - frame.base.get() as usize) as u8);
    let (kind, name) = describe_register(&proto.data.0, current_pc(frame), register)?;
    (kind == NameKind::Local).then_some(name)
}

/// The type's name for messages; a metatable's `__name` takes precedence.
pub(super) fn type_name<'gc>(ctx: Ctx<'gc>, value: Value<'gc>) -> String {
    match value {
        Value::Table(_) | Value::UserData(_) => match ctx.metamethod(value, Event::Name) {
            Value::Str(name) => name.to_text(),
            _ => value.ty().name().to_owned(),
        },
        _ => value.ty().name().to_owned(),
    }
}

/// " (local 'x')" or nothing.
fn variable<'gc>(thread: Gc<'gc, Thread<'gc>>, origin: Origin) -> String {
    let named = thread.top_frame().and_then(|frame| {
        let proto = proto_of(thread, frame)?;
        match origin {
            Origin::Register(register) => {
                describe_register(&proto.data.0, current_pc(frame), register)
                    .map(|(kind, name)| format!(" ({kind} '{name}')"))
            }
            Origin::Upvalue(upvalue) => {
                let name = String::from_utf8_lossy(upvalue_name(&proto.data.0, upvalue));
                Some(format!(" (upvalue '{name}')"))
            }
            Origin::Unknown => None,
        }
    });
    named.unwrap_or_default()
}

/// "attempt to index a nil value (local 'x')".
#[cold]
#[inline(never)]
pub(super) fn type_error<'gc>(
    ctx: Ctx<'gc>,
    action: &str,
    value: Value<'gc>,
    origin: Origin,
) -> Failure<'gc> {
    let name = type_name(ctx, value);
    let variable = variable(ctx.state.thread.get(), origin);
    fail(format!("attempt to {action} a {name} value{variable}"))
}

/// Where the operands of an arithmetic instruction came from, in source order.
fn operands(op: Op) -> (Origin, Origin) {
    let operands = op.operands();
    let mut registers = operands.iter().filter_map(|operand| match operand {
        Operand::Reg(register) => Some(Origin::Register(*register)),
        _ => None,
    });
    let first = registers.next().unwrap_or(Origin::Unknown);
    let second = registers.next().unwrap_or(Origin::Unknown);
    if operands.contains(&Operand::Flag(true)) { (second, first) } else { (first, second) }
}

/// The error for operands of an arithmetic operator that have no metamethod for it.
#[cold]
#[inline(never)]
pub(super) fn arith_error<'gc>(
    ctx: Ctx<'gc>,
    op: Arith,
    lhs: Value<'gc>,
    rhs: Value<'gc>,
) -> Failure<'gc> {
    let thread = ctx.state.thread.get();
    let (left, right) = thread
        .top_frame()
        .and_then(|frame| Some((frame, proto_of(thread, frame)?)))
        .map_or((Origin::Unknown, Origin::Unknown), |(frame, proto)| {
            operands(proto.data.0.code[current_pc(frame)])
        });
    let is_number = |value| matches!(value, Value::Int(_) | Value::Float(_));
    if op.is_bitwise() {
        if is_number(lhs) && is_number(rhs) {
            let culprit = if lhs.to_integer().is_none() { left } else { right };
            let variable = variable(thread, culprit);
            return fail(format!("number{variable} has no integer representation"));
        }
        let (culprit, origin) = if is_number(lhs) { (rhs, right) } else { (lhs, left) };
        return type_error(ctx, "perform bitwise operation on", culprit, origin);
    }
    if matches!(lhs, Value::Str(_)) || matches!(rhs, Value::Str(_)) {
        // In real Lua this comes from the metamethods of strings.
        let event = &op.event().key()[2..];
        let (lhs, rhs) = (lhs.ty().name(), rhs.ty().name());
        return fail(format!("attempt to {event} a '{lhs}' with a '{rhs}'"));
    }
    let (culprit, origin) = if is_number(lhs) { (rhs, right) } else { (lhs, left) };
    type_error(ctx, "perform arithmetic on", culprit, origin)
}

/// The error for operands that cannot be ordered.
#[cold]
#[inline(never)]
pub(super) fn order_error<'gc>(ctx: Ctx<'gc>, lhs: Value<'gc>, rhs: Value<'gc>) -> Failure<'gc> {
    let (lhs, rhs) = (type_name(ctx, lhs), type_name(ctx, rhs));
    if lhs == rhs {
        fail(format!("attempt to compare two {lhs} values"))
    } else {
        fail(format!("attempt to compare {lhs} with {rhs}"))
    }
}
