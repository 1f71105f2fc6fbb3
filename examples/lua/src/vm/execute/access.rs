//! Access to tables, as the loop has it inline. What is left to [`super::general`]: objects that are no
//! tables, and metamethods that are functions.
//!
//! What these functions do by a call is marked as cold, though it need not be rare: else the
//! compiler would move the loop's variables out of the registers that a call may change, before it
//! is known that there will be a call.

use core::cell::Cell;
use core::hint::cold_path;

use heap_api::Gc;

use crate::state::{Ctx, Event};
use crate::string::Str;
use crate::table::Table;
use crate::value::Value;

use super::Flow;
use super::outlined::enter_metamethod;
use super::running::Running;

/// `object[key]` for a string key.
#[inline(always)]
pub(super) fn get_field<'gc>(
    ctx: Ctx<'gc>,
    running: &Running<'gc>,
    to: &Cell<Value<'gc>>,
    object: Value<'gc>,
    key: Str<'gc>,
) -> Flow {
    let Value::Table(table) = object else { return Flow::General };
    let mut value = table.ordinary_str(key);
    if value.is_nil()
        && let Some(metatable) = table.metatable()
    {
        cold_path();
        running.save();
        match inherited(ctx, table, metatable, key) {
            Inherited::Value(found) => value = found,
            Inherited::Called => return Flow::Load,
            Inherited::Unknown => return Flow::General,
        }
    }
    to.set(value);
    Flow::Next
}

/// What an object inherits for a key.
enum Inherited<'gc> {
    Value(Value<'gc>),
    /// The metamethod, a Lua function, has been called.
    Called,
    /// There is more to it.
    Unknown,
}

/// A string key that a table's ordinary parts do not have, looked up through its metatable: through
/// tables that are not weak (LT8 of [`crate::table`]), up to a Lua function. `pc` is saved.
#[inline(never)]
fn inherited<'gc>(
    ctx: Ctx<'gc>,
    mut table: Gc<'gc, Table<'gc>>,
    mut metatable: Gc<'gc, Table<'gc>>,
    key: Str<'gc>,
) -> Inherited<'gc> {
    // A longer chain is the business of `index`.
    for _ in 0..8 {
        if table.is_weak() {
            return Inherited::Unknown;
        }
        table = match metatable.cached_metamethod(ctx, Event::Index) {
            None => return Inherited::Value(Value::Nil),
            Some(Value::Table(next)) => next,
            Some(handler) => {
                let args = [Value::Table(table), Value::Str(key)];
                return match enter_metamethod(ctx, handler, args) {
                    true => Inherited::Called,
                    false => Inherited::Unknown,
                };
            }
        };
        let value = table.ordinary_str(key);
        if !value.is_nil() {
            return Inherited::Value(value);
        }
        match table.metatable() {
            None => return Inherited::Value(Value::Nil),
            Some(next) => metatable = next,
        }
    }
    Inherited::Unknown
}

/// `object[key] = value` for a string key.
#[inline(always)]
pub(super) fn set_field<'gc>(
    ctx: Ctx<'gc>,
    running: &Running<'gc>,
    object: Value<'gc>,
    key: Str<'gc>,
    value: Value<'gc>,
) -> Flow {
    let Value::Table(table) = object else { return Flow::General };
    if table.set_str_in_place(ctx, key, value) {
        return Flow::Next;
    }
    cold_path();
    running.save();
    add_field(ctx, table, key, value)
}

/// A new string key.
#[inline(never)]
fn add_field<'gc>(
    ctx: Ctx<'gc>,
    table: Gc<'gc, Table<'gc>>,
    key: Str<'gc>,
    value: Value<'gc>,
) -> Flow {
    if table.takes_new_keys() && table.set_str(ctx, key, value).is_ok() {
        Flow::Poll
    } else {
        Flow::General
    }
}

/// `object[key]` for an integer key.
#[inline(always)]
pub(super) fn get_int<'gc>(to: &Cell<Value<'gc>>, object: Value<'gc>, key: i64) -> Flow {
    let Value::Table(table) = object else { return Flow::General };
    let value = table.ordinary_int(key);
    if value.is_nil() && table.metatable().is_some() {
        return Flow::General;
    }
    to.set(value);
    Flow::Next
}

/// `object[key] = value` for an integer key.
#[inline(always)]
pub(super) fn set_int<'gc>(
    ctx: Ctx<'gc>,
    running: &Running<'gc>,
    object: Value<'gc>,
    key: i64,
    value: Value<'gc>,
) -> Flow {
    let Value::Table(table) = object else { return Flow::General };
    match table.array_slot(key) {
        Some(slot) if table.metatable().is_none() || !slot.get().is_nil() => {
            slot.set(ctx.cx, value);
            Flow::Next
        }
        _ => {
            cold_path();
            running.save();
            add_int(ctx, table, key, value)
        }
    }
}

/// A new integer key, or one that the array part does not cover.
#[inline(never)]
fn add_int<'gc>(ctx: Ctx<'gc>, table: Gc<'gc, Table<'gc>>, key: i64, value: Value<'gc>) -> Flow {
    if table.takes_new_keys() && table.set_int(ctx, key, value).is_ok() {
        Flow::Poll
    } else {
        Flow::General
    }
}

/// `object[key]`
#[inline(always)]
pub(super) fn get_index<'gc>(
    ctx: Ctx<'gc>,
    running: &Running<'gc>,
    to: &Cell<Value<'gc>>,
    object: Value<'gc>,
    key: Value<'gc>,
) -> Flow {
    match key {
        Value::Int(key) => get_int(to, object, key),
        Value::Str(key) => get_field(ctx, running, to, object, key),
        _ => {
            let Value::Table(table) = object else { return Flow::General };
            let value = table.ordinary(key);
            if value.is_nil() && table.metatable().is_some() {
                return Flow::General;
            }
            to.set(value);
            Flow::Next
        }
    }
}

/// `object[key] = value`
#[inline(always)]
pub(super) fn set_index<'gc>(
    ctx: Ctx<'gc>,
    running: &Running<'gc>,
    object: Value<'gc>,
    key: Value<'gc>,
    value: Value<'gc>,
) -> Flow {
    match key {
        Value::Int(key) => set_int(ctx, running, object, key, value),
        Value::Str(key) => set_field(ctx, running, object, key, value),
        _ => Flow::General,
    }
}
