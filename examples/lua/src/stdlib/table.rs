//! The `table` library.
//!
//! Called by the interpreter only, through [`open`]. Every function has a fast body for tables
//! without metamethods, which works on the elements directly, and a slow one for everything else,
//! which reads and writes as a script would ([`access`](mod@access)).
//!
//! * a fast body makes at most one allocation that can fail, before it changes anything. Otherwise
//!   it maps the failure to [`Fail::MemoryFinal`], because it must not run twice.

mod access;
mod quicksort;
mod sort;

use heap_api::{Gc, GcCell};

use super::install;
use super::string::buffer::Buffer;
use crate::error::{Fail, Failure, NoMemory, Raised, fail};
use crate::lstr::format::ITEM_MAX;
use crate::native::{Call, Done, NativeDef, NativeResult};
use crate::state::{Ctx, Event};
use crate::table::Table;
use crate::thread::STACK_LIMIT;
use crate::value::Value;
use crate::vm::{Task, append_number};

pub(super) use access::not_comparable;
use access::{length, load, store};

static FUNCTIONS: &[NativeDef] = &[
    NativeDef::either("concat", concat, concat_slow),
    NativeDef::either("insert", insert, insert_slow),
    NativeDef::either("move", move_, move_slow),
    NativeDef::fast("pack", pack),
    NativeDef::either("remove", remove, remove_slow),
    NativeDef::either("sort", sort::sort, sort::sort_slow),
    NativeDef::either("unpack", unpack, unpack_slow),
];

/// Makes the library's table.
///
/// # Errors
///
/// If the heap has no memory for it.
pub fn open<'gc>(ctx: Ctx<'gc>) -> Result<Gc<'gc, Table<'gc>>, NoMemory> {
    let library = Table::new(ctx)?;
    install(ctx, library, FUNCTIONS)?;
    Ok(library)
}

// ---- arguments ----

/// What a function does to a table argument.
#[derive(Clone, Copy)]
struct Use(&'static [Event]);

impl Use {
    const READ: Use = Use(&[Event::Index]);
    const WRITE: Use = Use(&[Event::NewIndex]);
    const READ_LENGTH: Use = Use(&[Event::Index, Event::Len]);
    const READ_WRITE_LENGTH: Use = Use(&[Event::Index, Event::NewIndex, Event::Len]);
}

/// How an argument's elements are reached.
enum Access<'gc> {
    /// Directly.
    Plain(Gc<'gc, Table<'gc>>),
    /// With metamethods.
    Meta,
}

/// How the elements of argument `i` are reached: a table, or anything that has metamethods for all
/// that will be done to it.
#[inline]
fn access<'gc>(call: &Call<'gc>, i: usize, planned: Use) -> Result<Access<'gc>, Failure<'gc>> {
    match call.arg(i) {
        Value::Table(table) if table.metatable().is_none() => Ok(Access::Plain(table)),
        other => access_with_metatable(call, i, other, planned),
    }
}

#[inline(never)]
fn access_with_metatable<'gc>(
    call: &Call<'gc>,
    i: usize,
    value: Value<'gc>,
    planned: Use,
) -> Result<Access<'gc>, Failure<'gc>> {
    let present = |&event: &Event| !call.ctx.metamethod(value, event).is_nil();
    match value {
        Value::Table(table) if !planned.0.iter().any(present) => Ok(Access::Plain(table)),
        Value::Table(_) => Ok(Access::Meta),
        _ if planned.0.iter().all(present) => Ok(Access::Meta),
        _ => Err(call.type_error(i, "table")),
    }
}

/// In a slow body: the same check, for its error.
fn check_access(task: &mut Task<'_>, i: usize, planned: Use) -> Result<(), Raised> {
    task.enter(|call| access(call, i, planned).map(|_| ()))
}

/// Makes room for results whose number the script chose.
///
/// # Errors
///
/// With `message` if a call cannot have that many results; if there is no memory.
pub(super) fn reserve_results<'gc>(
    call: &Call<'gc>,
    count: usize,
    message: &str,
) -> Result<(), Failure<'gc>> {
    if count >= STACK_LIMIT {
        return Err(fail(message));
    }
    call.reserve(count).map_err(|failure| match *failure {
        Fail::Memory | Fail::MemoryFinal => failure,
        _ => fail(message),
    })
}

/// The same failure, for a function that must not run again.
pub(super) fn no_retry<'gc>(_: NoMemory) -> Failure<'gc> {
    Box::new(Fail::MemoryFinal)
}

/// The slots of elements `first..=last`, if they are all in the array part.
fn slots<'gc>(
    table: Gc<'gc, Table<'gc>>,
    first: i64,
    last: i64,
) -> Option<&'gc [GcCell<Value<'gc>>]> {
    let start = usize::try_from(first.checked_sub(1)?).ok()?;
    table.array_part().get(start..usize::try_from(last).ok()?)
}

// ---- insert and remove ----

/// Where `table.insert` puts the value.
enum Place {
    End,
    At(i64),
}

fn insert_place<'gc>(call: &Call<'gc>, end: i64) -> Result<Place, Failure<'gc>> {
    match call.count() {
        2 => Ok(Place::End),
        3 => {
            let position = call.int(1)?;
            if (position as u64).wrapping_sub(1) >= end as u64 {
                return Err(call.bad_argument(1, "position out of bounds"));
            }
            Ok(Place::At(position))
        }
        _ => Err(fail("wrong number of arguments to 'insert'")),
    }
}

fn insert<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let Access::Plain(table) = access(call, 0, Use::READ_WRITE_LENGTH)? else { return call.slow() };
    let ctx = call.ctx;
    let end = table.length(call.ctx).wrapping_add(1);
    match insert_place(call, end)? {
        Place::End => table.set_int(ctx, end, call.arg(1))?,
        Place::At(position) if position == end => table.set_int(ctx, end, call.arg(2))?,
        Place::At(position) => {
            table.set_int(ctx, end, table.get_int(call.ctx, end.wrapping_sub(1)))?;
            match slots(table, position, end) {
                Some(slots) => {
                    for i in (1..slots.len()).rev() {
                        slots[i].set(ctx.cx, slots[i - 1].get());
                    }
                }
                None => {
                    for i in (position + 1..end).rev() {
                        call.poll(i)?;
                        table.set_int(ctx, i, table.get_int(call.ctx, i - 1)).map_err(no_retry)?;
                    }
                }
            }
            table.set_int(ctx, position, call.arg(2)).map_err(no_retry)?;
        }
    }
    call.ret_none()
}

fn insert_slow(task: &mut Task<'_>) -> Result<usize, Raised> {
    check_access(task, 0, Use::READ_WRITE_LENGTH)?;
    let end = length(task, 0)?.wrapping_add(1);
    let (position, value) = match task.enter(|call| insert_place(call, end))? {
        Place::End => (end, 1),
        Place::At(position) => (position, 2),
    };
    for i in (position..end).rev() {
        load(task, 0, i)?;
        store(task, 0, i + 1)?;
    }
    task.enter(|call| call.push(call.arg(value)))?;
    store(task, 0, position)?;
    Ok(0)
}

fn remove_position<'gc>(call: &Call<'gc>, size: i64) -> Result<i64, Failure<'gc>> {
    if call.count() < 2 {
        return Ok(size);
    }
    let position = call.int(1)?;
    if position != size && (position as u64).wrapping_sub(1) > size as u64 {
        return Err(call.bad_argument(0, "position out of bounds"));
    }
    Ok(position)
}

fn remove<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let Access::Plain(table) = access(call, 0, Use::READ_WRITE_LENGTH)? else { return call.slow() };
    let ctx = call.ctx;
    let size = table.length(call.ctx);
    let position = remove_position(call, size)?;
    let removed = table.get_int(call.ctx, position);
    let last = match slots(table, position, size) {
        Some(slots) if !slots.is_empty() => {
            for pair in slots.windows(2) {
                pair[0].set(ctx.cx, pair[1].get());
            }
            size
        }
        _ => {
            let mut at = position;
            while at < size {
                call.poll(at)?;
                table.set_int(ctx, at, table.get_int(call.ctx, at + 1)).map_err(no_retry)?;
                at += 1;
            }
            at
        }
    };
    table.set_int(ctx, last, Value::Nil).map_err(no_retry)?;
    call.ret(removed)
}

fn remove_slow(task: &mut Task<'_>) -> Result<usize, Raised> {
    check_access(task, 0, Use::READ_WRITE_LENGTH)?;
    let size = length(task, 0)?;
    let mut position = task.enter(|call| remove_position(call, size))?;
    load(task, 0, position)?;
    while position < size {
        load(task, 0, position + 1)?;
        store(task, 0, position)?;
        position += 1;
    }
    task.enter(|call| call.push(Value::Nil))?;
    store(task, 0, position)?;
    task.enter(|call| Ok(call.place(&[call.pushed(0)])))
}

// ---- move ----

/// Elements `first..first + count` go to `to` and after.
struct Move {
    first: i64,
    count: i64,
    to: i64,
    /// Number of the argument that receives them.
    target: usize,
    order: MoveOrder,
}

/// In which order the elements are copied, so that none is overwritten before its turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MoveOrder {
    Ascending,
    Descending,
}

impl Move {
    fn from_arguments<'gc>(
        call: &Call<'gc>,
    ) -> Result<(Move, Access<'gc>, Access<'gc>), Failure<'gc>> {
        let (first, last, to) = (call.int(1)?, call.int(2)?, call.int(3)?);
        let target = if call.arg(4).is_nil() { 0 } else { 4 };
        let source_access = access(call, 0, Use::READ)?;
        let target_access = access(call, target, Use::WRITE)?;
        let mut moved = Move { first, count: 0, to, target, order: MoveOrder::Ascending };
        if last >= first {
            if first <= 0 && last >= i64::MAX + first {
                return Err(call.bad_argument(2, "too many elements to move"));
            }
            moved.count = last - first + 1;
            if to > i64::MAX - moved.count + 1 {
                return Err(call.bad_argument(3, "destination wrap around"));
            }
            // Equality without metamethods: two names of one object are still the same table.
            let overlapping = target == 0 || call.arg(0).raw_equal(call.arg(4));
            if to <= last && to > first && overlapping {
                moved.order = MoveOrder::Descending;
            }
        }
        Ok((moved, source_access, target_access))
    }

    fn offsets(&self) -> impl Iterator<Item = i64> {
        let (count, order) = (self.count, self.order);
        (0..count).map(move |i| match order {
            MoveOrder::Ascending => i,
            MoveOrder::Descending => count - 1 - i,
        })
    }
}

fn move_<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let (moved, from, to) = Move::from_arguments(call)?;
    let (Access::Plain(from), Access::Plain(to)) = (from, to) else { return call.slow() };
    if moved.count == 0 {
        return call.ret(Value::Table(to));
    }
    let ctx = call.ctx;
    // An array that grows at its end gets its room at once, half as much again to spare.
    let room = to.array_part().len() as i64;
    if (1..=room + 1).contains(&moved.to)
        && slots(from, moved.first, moved.first + (moved.count - 1)).is_some()
    {
        let end = moved.to + (moved.count - 1);
        if end > room {
            to.reserve_array(ctx, end.max(room + room / 2) as usize)?;
        }
    }
    for offset in moved.offsets() {
        call.poll(offset)?;
        let value = from.get_int(call.ctx, moved.first + offset);
        to.set_int(ctx, moved.to + offset, value).map_err(no_retry)?;
    }
    call.ret(Value::Table(to))
}

fn move_slow(task: &mut Task<'_>) -> Result<usize, Raised> {
    let moved = task.enter(|call| Ok(Move::from_arguments(call)?.0))?;
    for offset in moved.offsets() {
        load(task, 0, moved.first + offset)?;
        store(task, moved.target, moved.to + offset)?;
    }
    task.enter(|call| Ok(call.place(&[call.arg(moved.target)])))
}

// ---- pack and unpack ----

fn pack<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let (ctx, count) = (call.ctx, call.count());
    let packed = Table::with_capacity(ctx, count, 1)?;
    for i in 0..count {
        packed.set_int(ctx, i as i64 + 1, call.arg(i))?;
    }
    packed.set_str(ctx, ctx.str("n")?, Value::Int(count as i64))?;
    call.ret(packed)
}

const TOO_MANY_RESULTS: &str = "too many results to unpack";

/// How many elements from `first` to `last` there are, if they can be results.
fn unpack_count<'gc>(first: i64, last: i64) -> Result<usize, Failure<'gc>> {
    if first > last {
        return Ok(0);
    }
    let further = last.wrapping_sub(first) as u64;
    if further >= STACK_LIMIT as u64 {
        return Err(fail(TOO_MANY_RESULTS));
    }
    Ok(further as usize + 1)
}

fn unpack<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let Value::Table(table) = call.arg(0) else { return call.slow() };
    let Access::Plain(_) = access(call, 0, Use::READ_LENGTH)? else { return call.slow() };
    let first = call.opt_int(1, 1)?;
    let last = if call.arg(2).is_nil() { table.length(call.ctx) } else { call.int(2)? };
    let count = unpack_count(first, last)?;
    reserve_results(call, count, TOO_MANY_RESULTS)?;
    match slots(table, first, last) {
        Some(slots) => {
            for (i, slot) in slots.iter().enumerate() {
                call.set_result(i, slot.get());
            }
        }
        None => {
            for i in 0..count {
                call.set_result(i, table.get_int(call.ctx, first + i as i64));
            }
        }
    }
    Ok(Done::Results(count))
}

fn unpack_slow(task: &mut Task<'_>) -> Result<usize, Raised> {
    let (first, last) = task.enter(|call| {
        let first = call.opt_int(1, 1)?;
        Ok((first, if call.arg(2).is_nil() { None } else { Some(call.int(2)?) }))
    })?;
    let last = match last {
        Some(last) => last,
        None => length(task, 0)?,
    };
    let count = task.enter(|call| {
        let count = unpack_count(first, last)?;
        reserve_results(call, count, TOO_MANY_RESULTS)?;
        Ok(count)
    })?;
    for i in 0..count {
        load(task, 0, first + i as i64)?;
    }
    task.enter(|call| {
        // Results lie below the pushed values, so none is overwritten before it is read.
        for i in 0..count {
            call.set_result(i, call.pushed(i));
        }
        Ok(count)
    })
}

// ---- concat ----

/// The range of `table.concat`; no end means the table's length.
fn concat_range<'gc>(call: &Call<'gc>) -> Result<(i64, Option<i64>), Failure<'gc>> {
    let first = call.opt_int(2, 1)?;
    Ok((first, if call.arg(3).is_nil() { None } else { Some(call.int(3)?) }))
}

/// Appends an element and the separator after it; nothing if that fails.
fn append_element<'gc>(
    out: &mut Buffer<'_>,
    value: Value<'gc>,
    index: i64,
    separator: &[u8],
) -> Result<(), Failure<'gc>> {
    match value {
        Value::Str(text) => {
            out.room(text.len() + separator.len())?.extend_from_slice(text.as_bytes());
        }
        Value::Int(_) | Value::Float(_) => {
            append_number(out.room(ITEM_MAX + separator.len())?, value);
        }
        _ => {
            let kind = value.ty().name();
            let message = format!("invalid value ({kind}) at index {index} in table for 'concat'");
            return Err(fail(message));
        }
    }
    Ok(out.append(separator)?)
}

fn concat<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let Access::Plain(table) = access(call, 0, Use::READ_LENGTH)? else { return call.slow() };
    let separator = call.opt_string(1)?;
    let separator = separator.map_or(&[][..], |text| text.as_bytes());
    let (first, last) = concat_range(call)?;
    let last = last.unwrap_or_else(|| table.length(call.ctx));
    let mut out = Buffer::new(call.ctx.host);
    for i in first..=last {
        let separator = if i < last { separator } else { &[] };
        append_element(&mut out, table.get_int(call.ctx, i), i, separator)?;
    }
    call.ret(out.finish(call.ctx)?)
}

fn concat_slow(task: &mut Task<'_>) -> Result<usize, Raised> {
    check_access(task, 0, Use::READ_LENGTH)?;
    let size = length(task, 0)?;
    let (first, last) = task.enter(|call| {
        if let Some(separator) = call.opt_string(1)? {
            call.set_arg(1, Value::Str(separator));
        }
        concat_range(call)
    })?;
    let last = last.unwrap_or(size);
    let mut out = Buffer::new(task.runner().host);
    for i in first..=last {
        load(task, 0, i)?;
        task.enter(|call| {
            let separator = match call.arg(1) {
                Value::Str(separator) if i < last => separator.as_bytes(),
                _ => &[],
            };
            append_element(&mut out, call.pushed(0), i, separator)?;
            call.pop();
            Ok(())
        })?;
    }
    task.enter(|call| Ok(call.place(&[Value::Str(out.finish(call.ctx)?)])))
}
