//! Concatenation: one buffer for each run of strings and numbers, metamethods in between.

use heap_api::Gc;

use crate::bytecode::{Dst, Reg};
use crate::error::{Failure, NoMemory};
use crate::number::{self, Number};
use crate::state::{Ctx, Event};
use crate::string::Str;
use crate::thread::{OnReturn, Thread};
use crate::value::Value;

use super::Action;
use super::describe::{Origin, type_error};

fn is_text(value: Value<'_>) -> bool {
    matches!(value, Value::Str(_) | Value::Int(_) | Value::Float(_))
}

/// Appends what a string or number contributes to a concatenation. Nothing for other values.
pub fn append_number(buffer: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Str(text) => buffer.extend_from_slice(text.as_bytes()),
        Value::Int(i) => append_integer(buffer, i),
        Value::Float(f) => {
            buffer.extend_from_slice(number::format_number(Number::Float(f.get())).as_bytes());
        }
        _ => {}
    }
}

fn append_integer(buffer: &mut Vec<u8>, value: i64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        buffer.push(b'-');
    }
    buffer.extend_from_slice(&digits[at..]);
}

/// Concatenates registers `first .. first + count` of the frame at `base`, from the right, into
/// register `dst`; `scratch` is the first free stack slot.
pub(super) fn concat<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    base: usize,
    scratch: usize,
    (dst, first): (Dst, Reg),
    count: u8,
) -> Result<Action, Failure<'gc>> {
    let registers = &thread.stack()[base + first.index()..];
    let mut count = count as usize;
    while count > 1 {
        let (lhs, rhs) = (registers[count - 2].get(), registers[count - 1].get());
        if is_text(lhs) && is_text(rhs) {
            let run = registers[..count - 1].iter().rev().take_while(|slot| is_text(slot.get()));
            let start = count - 1 - run.count();
            let mut buffer = ctx.host.scratch.borrow_mut();
            buffer.clear();
            let mut total = 0;
            for slot in &registers[start..count] {
                // A number takes at most a few dozen bytes.
                total += match slot.get() {
                    Value::Str(text) => text.len(),
                    _ => 32,
                };
            }
            if total > ctx.host.buffer_limit || buffer.try_reserve(total).is_err() {
                return Err(NoMemory.into());
            }
            for slot in &registers[start..count] {
                append_number(&mut buffer, slot.get());
            }
            registers[start].set(ctx.cx, Value::Str(Str::new(ctx, &buffer)?));
            count = start + 1;
            continue;
        }
        let handler = match ctx.metamethod(lhs, Event::Concat) {
            Value::Nil => ctx.metamethod(rhs, Event::Concat),
            handler => handler,
        };
        if handler.is_nil() {
            let (culprit, place) = if is_text(lhs) { (rhs, count - 1) } else { (lhs, count - 2) };
            let origin = Origin::Register(first + place as u8);
            return Err(type_error(ctx, "concatenate", culprit, origin));
        }
        for (i, value) in [handler, lhs, rhs].into_iter().enumerate() {
            thread.slot(scratch + i).set(ctx.cx, value);
        }
        let on_return = OnReturn::Concat(count as u8 - 1);
        return Ok(Action::Call { func: scratch, count: 2, on_return });
    }
    thread.slot(base + dst.0.index()).set(ctx.cx, registers[0].get());
    Ok(Action::Go)
}
