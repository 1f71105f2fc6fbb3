//! Indexing with `__index` and `__newindex`.

use crate::error::{Failure, operation_failed};
use crate::state::{Ctx, Event};
use crate::table::SetError;
use crate::value::Value;

/// How long a chain of `__index` tables may be.
const MAX_CHAIN: usize = 2000;

/// Where a read or a write of `object[key]` ended.
pub enum Indexed<'gc, T> {
    /// With this result: the value that was read (nil if there is none), or nothing.
    Done(T),
    /// At a function to call: `handler(object, key)`, for a write `handler(object, key, value)`.
    Call {
        /// The metamethod.
        handler: Value<'gc>,
        /// The object that has it.
        object: Value<'gc>,
    },
    /// At a value that cannot be indexed: the object itself if `first`, else one of its handlers.
    NotIndexable {
        /// The value that cannot be indexed.
        object: Value<'gc>,
        /// Whether it is the object that the script indexed.
        first: bool,
    },
}

fn is_function(value: Value<'_>) -> bool {
    matches!(value, Value::Function(_) | Value::Native(_))
}

/// `object[key]`, up to a function that has to be called.
///
/// # Errors
///
/// If the chain of handlers is a loop.
pub fn index<'gc>(
    ctx: Ctx<'gc>,
    mut object: Value<'gc>,
    key: Value<'gc>,
) -> Result<Indexed<'gc, Value<'gc>>, Failure<'gc>> {
    for step in 0..MAX_CHAIN {
        let handler = match object {
            Value::Table(table) => {
                let value = table.get(ctx, key);
                if !value.is_nil() {
                    return Ok(Indexed::Done(value));
                }
                let metatable = table.metatable();
                match metatable.and_then(|m| m.cached_metamethod(ctx, Event::Index)) {
                    Some(handler) => handler,
                    None => return Ok(Indexed::Done(Value::Nil)),
                }
            }
            _ => ctx.metamethod(object, Event::Index),
        };
        if handler.is_nil() {
            return Ok(Indexed::NotIndexable { object, first: step == 0 });
        }
        if is_function(handler) {
            return Ok(Indexed::Call { handler, object });
        }
        object = handler;
    }
    Err(operation_failed("'__index' chain too long; possible loop"))
}

/// `object[key] = value`, up to a function that has to be called.
///
/// # Errors
///
/// If no table takes the key, or the chain of handlers is a loop.
pub fn assign<'gc>(
    ctx: Ctx<'gc>,
    mut object: Value<'gc>,
    key: Value<'gc>,
    value: Value<'gc>,
) -> Result<Indexed<'gc, ()>, Failure<'gc>> {
    for step in 0..MAX_CHAIN {
        let handler = match object {
            Value::Table(table) => {
                let handler = match table.metatable() {
                    Some(metatable) if table.get(ctx, key).is_nil() => {
                        metatable.cached_metamethod(ctx, Event::NewIndex)
                    }
                    _ => None,
                };
                let Some(handler) = handler else {
                    table.set(ctx, key, value).map_err(bad_key)?;
                    return Ok(Indexed::Done(()));
                };
                handler
            }
            _ => ctx.metamethod(object, Event::NewIndex),
        };
        if handler.is_nil() {
            return Ok(Indexed::NotIndexable { object, first: step == 0 });
        }
        if is_function(handler) {
            return Ok(Indexed::Call { handler, object });
        }
        object = handler;
    }
    Err(operation_failed("'__newindex' chain too long; possible loop"))
}

/// The virtual machine's words for a key that no table takes.
#[cold]
fn bad_key<'gc>(error: SetError) -> Failure<'gc> {
    match error {
        SetError::NilKey => operation_failed("table index is nil"),
        SetError::NanKey => operation_failed("table index is NaN"),
        SetError::NoMemory => crate::error::NoMemory.into(),
    }
}
