//! Access to the elements of an argument, with metamethods: what slow bodies of the `table` library
//! are made of.
//!
//! * a value on its way is on the body's own stack: [`load`] pushes it, [`store`] pops it.

use crate::error::{Failure, Raised, fail, operation_failed};
use crate::native::Call;
use crate::state::Event;
use crate::value::Value;
use crate::vm::{self, Indexed, Task};

/// How a region left things.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// The value is in place.
    Done,
    /// A function and its arguments are on the stack, to be called.
    Call,
}

/// Pushes element `key` of argument `object`; a safepoint.
pub(super) fn load(task: &mut Task<'_>, object: usize, key: i64) -> Result<(), Raised> {
    task.poll()?;
    let step =
        task.enter(|call| match vm::index(call.ctx, call.arg(object), Value::Int(key))? {
            Indexed::Done(value) => {
                call.push(value)?;
                Ok(Step::Done)
            }
            Indexed::Call { handler, object } => {
                call.push(handler)?;
                call.push(object)?;
                call.push(Value::Int(key))?;
                Ok(Step::Call)
            }
            Indexed::NotIndexable { object, .. } => Err(cannot(call, "index", object)),
        })?;
    match step {
        Step::Done => Ok(()),
        Step::Call => task.call_for(2, 1),
    }
}

/// Pops a value and assigns it to element `key` of argument `object`.
pub(super) fn store(task: &mut Task<'_>, object: usize, key: i64) -> Result<(), Raised> {
    let step = task.enter(|call| {
        let top = call.pushed_count() - 1;
        let value = call.pushed(top);
        match vm::assign(call.ctx, call.arg(object), Value::Int(key), value)? {
            Indexed::Done(()) => {
                call.pop();
                Ok(Step::Done)
            }
            Indexed::Call { handler, object } => {
                call.push(object)?;
                call.push(Value::Int(key))?;
                call.push(value)?;
                call.set_pushed(top, handler);
                Ok(Step::Call)
            }
            Indexed::NotIndexable { object, .. } => Err(cannot(call, "index", object)),
        }
    })?;
    match step {
        Step::Done => Ok(()),
        Step::Call => task.call_for(3, 0),
    }
}

/// The length of argument `object`, as the operator `#` gives it.
pub(super) fn length(task: &mut Task<'_>, object: usize) -> Result<i64, Raised> {
    let step = task.enter(|call| {
        let object = call.arg(object);
        let length = match (call.ctx.metamethod(object, Event::Len), object) {
            (_, Value::Str(text)) => text.len() as i64,
            (Value::Nil, Value::Table(table)) => table.length(call.ctx),
            (Value::Nil, _) => return Err(cannot(call, "get length of", object)),
            (handler, _) => {
                call.push(handler)?;
                call.push(object)?;
                call.push(object)?;
                return Ok(Step::Call);
            }
        };
        call.push(Value::Int(length))?;
        Ok(Step::Done)
    })?;
    if step == Step::Call {
        task.call_for(2, 1)?;
    }
    task.enter(|call| {
        let length = call.pushed(call.pushed_count() - 1).to_integer();
        let length = length.ok_or_else(|| fail("object length is not an integer"))?;
        call.pop();
        Ok(length)
    })
}

#[cold]
fn cannot<'gc>(call: &Call<'gc>, action: &str, value: Value<'gc>) -> Failure<'gc> {
    operation_failed(format!("attempt to {action} a {} value", call.type_name(value)))
}

/// "attempt to compare ...".
#[cold]
pub(crate) fn not_comparable<'gc>(
    call: &Call<'gc>,
    lhs: Value<'gc>,
    rhs: Value<'gc>,
) -> Failure<'gc> {
    let (left, right) = (call.type_name(lhs), call.type_name(rhs));
    operation_failed(if left == right {
        format!("attempt to compare two {left} values")
    } else {
        format!("attempt to compare {left} with {right}")
    })
}
