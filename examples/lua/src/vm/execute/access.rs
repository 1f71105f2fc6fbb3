//! Access to tables, as the loop has it inline. What is left to [`super::general`]: objects that are no
//! tables, metamethods that are functions, assignments of new keys to tables with a metatable.

use core::cell::Cell;

use heap_api::Gc;

use crate::state::{Ctx, Event};
use crate::string::Str;
use crate::table::Table;
use crate::value::Value;

use super::Flow;

/// `object[key]` for a string key.
#[inline(always)]
pub(super) fn get_field<'gc>(
    ctx: Ctx<'gc>,
    to: &Cell<Value<'gc>>,
    object: Value<'gc>,
    key: Str<'gc>,
) -> Flow {
    let Value::Table(table) = object else { return Flow::General };
    let mut value = table.ordinary_str(key);
    if value.is_nil()
        && let Some(metatable) = table.metatable()
    {
        match inherited(ctx, table, metatable, key) {
            Some(found) => value = found,
            None => return Flow::General,
        }
    }
    to.set(value);
    Flow::Next
}

/// A string key that a table's ordinary parts do not have, looked up through `__index` tables. `None`:
/// there is more to it than tables that are not weak (LT8 of [`crate::table`]).
#[inline(never)]
fn inherited<'gc>(
    ctx: Ctx<'gc>,
    mut table: Gc<'gc, Table<'gc>>,
    mut metatable: Gc<'gc, Table<'gc>>,
    key: Str<'gc>,
) -> Option<Value<'gc>> {
    // A longer chain is the business of `index`.
    for _ in 0..8 {
        if table.is_weak() {
            return None;
        }
        table = match metatable.cached_metamethod(ctx, Event::Index) {
            None => return Some(Value::Nil),
            Some(Value::Table(next)) => next,
            Some(_) => return None,
        };
        let value = table.ordinary_str(key);
        if !value.is_nil() {
            return Some(value);
        }
        match table.metatable() {
            None => return Some(Value::Nil),
            Some(next) => metatable = next,
        }
    }
    None
}

/// `object[key] = value` for a string key.
#[inline(always)]
pub(super) fn set_field<'gc>(
    ctx: Ctx<'gc>,
    object: Value<'gc>,
    key: Str<'gc>,
    value: Value<'gc>,
) -> Flow {
    match object {
        Value::Table(table) if table.set_str_in_place(ctx, key, value) => Flow::Next,
        _ => Flow::General,
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
        None if table.metatable().is_none() && table.set_int(ctx, key, value).is_ok() => Flow::Poll,
        _ => Flow::General,
    }
}

/// `object[key]`
#[inline(always)]
pub(super) fn get_index<'gc>(
    ctx: Ctx<'gc>,
    to: &Cell<Value<'gc>>,
    object: Value<'gc>,
    key: Value<'gc>,
) -> Flow {
    match key {
        Value::Int(key) => get_int(to, object, key),
        Value::Str(key) => get_field(ctx, to, object, key),
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
    object: Value<'gc>,
    key: Value<'gc>,
    value: Value<'gc>,
) -> Flow {
    match key {
        Value::Int(key) => set_int(ctx, object, key, value),
        Value::Str(key) => set_field(ctx, object, key, value),
        _ => Flow::General,
    }
}
