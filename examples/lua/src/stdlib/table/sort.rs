//! `table.sort`.
//!
//! Without a comparator and with elements that are all integers or all strings the order is total
//! and equal elements cannot be told apart, so any algorithm will do: the standard library's. All
//! else goes through [`quicksort`].

use heap_api::Gc;

use super::access::{Step, length, load, not_comparable, store};
use super::quicksort::{Operand, Sequence, quicksort};
use super::{Access, Use, access};
use crate::error::{Failure, NoMemory, Raised, fail};
use crate::native::{Call, NativeResult};
use crate::state::Event;
use crate::string::Str;
use crate::table::Table;
use crate::value::Value;
use crate::vm::{self, Task};

const INVALID_ORDER: &str = "invalid order function for sorting";

// ---- without Lua ----

/// The fast body: elements that compare without metamethods.
pub(super) fn sort<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let Access::Plain(table) = access(call, 0, Use::READ_WRITE_LENGTH)? else { return call.slow() };
    let count = table.length(call.ctx);
    check_arguments(call, count)?;
    let host = call.ctx.host;
    if count > 1 && (!call.arg(1).is_nil() || count as usize > host.buffer_limit / 24) {
        return call.slow();
    }
    let mut kinds = Kinds::default();
    for i in 1..=count {
        kinds.add(table.get_int(call.ctx, i));
    }
    match kinds {
        Kinds { others: 0, ints: 0, floats: 0, .. } => sort_strings(call, table, count)?,
        Kinds { others: 0, strings: 0, floats: 0, .. } => sort_integers(call, table, count)?,
        Kinds { others: 0, strings: 0, .. } => sort_numbers(call, table, count)?,
        _ => return call.slow(),
    }
    call.ret_none()
}

fn check_arguments<'gc>(call: &Call<'gc>, count: i64) -> Result<(), Failure<'gc>> {
    if count <= 1 {
        return Ok(());
    }
    if count >= i64::from(i32::MAX) {
        return Err(call.bad_argument(0, "array too big"));
    }
    match call.arg(1) {
        Value::Nil | Value::Function(_) | Value::Native(_) => Ok(()),
        _ => Err(call.type_error(1, "function")),
    }
}

/// How many elements there are of each kind.
#[derive(Default)]
struct Kinds {
    strings: usize,
    ints: usize,
    floats: usize,
    others: usize,
}

impl Kinds {
    fn add(&mut self, value: Value<'_>) {
        *match value {
            Value::Str(_) => &mut self.strings,
            Value::Int(_) => &mut self.ints,
            Value::Float(_) => &mut self.floats,
            _ => &mut self.others,
        } += 1;
    }
}

/// An empty vector with room for `count` items. Where there is none, the slow body sorts in place.
fn vector<T>(count: i64) -> Result<Vec<T>, NoMemory> {
    let mut items = Vec::new();
    items.try_reserve_exact(count as usize).map_err(|_| NoMemory)?;
    Ok(items)
}

fn sort_strings<'gc>(
    call: &Call<'gc>,
    table: Gc<'gc, Table<'gc>>,
    count: i64,
) -> Result<(), Failure<'gc>> {
    // The first bytes decide most comparisons without a look at the string.
    let mut items: Vec<(u64, Str<'gc>)> = vector(count)?;
    for i in 1..=count {
        if let Value::Str(text) = table.get_int(call.ctx, i) {
            items.push((prefix(text.as_bytes()), text));
        }
    }
    items.sort_unstable_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.as_bytes().cmp(y.as_bytes())));
    put_back(call, table, items.into_iter().map(|(_, text)| Value::Str(text)))
}

fn prefix(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    let length = bytes.len().min(8);
    first[..length].copy_from_slice(&bytes[..length]);
    u64::from_be_bytes(first)
}

fn sort_integers<'gc>(
    call: &Call<'gc>,
    table: Gc<'gc, Table<'gc>>,
    count: i64,
) -> Result<(), Failure<'gc>> {
    let mut items: Vec<i64> = vector(count)?;
    items.extend((1..=count).filter_map(|i| table.get_int(call.ctx, i).to_integer()));
    items.sort_unstable();
    put_back(call, table, items.into_iter().map(Value::Int))
}

fn sort_numbers<'gc>(
    call: &Call<'gc>,
    table: Gc<'gc, Table<'gc>>,
    count: i64,
) -> Result<(), Failure<'gc>> {
    let mut items = vector(count)?;
    items.extend((1..=count).map(|i| table.get_int(call.ctx, i)));
    let mut numbers = Numbers { items, pivot: Value::Nil };
    let sorted = quicksort(&mut numbers, count);
    put_back(call, table, numbers.items.into_iter())?;
    sorted
}

/// Assigns keys that exist, so nothing is allocated.
fn put_back<'gc>(
    call: &Call<'gc>,
    table: Gc<'gc, Table<'gc>>,
    items: impl Iterator<Item = Value<'gc>>,
) -> Result<(), Failure<'gc>> {
    for (i, item) in (1..).zip(items) {
        table.set_int(call.ctx, i, item)?;
    }
    Ok(())
}

/// Numbers, NaN perhaps among them.
struct Numbers<'gc> {
    items: Vec<Value<'gc>>,
    pivot: Value<'gc>,
}

impl<'gc> Numbers<'gc> {
    fn operand(&self, operand: Operand) -> Value<'gc> {
        match operand {
            Operand::At(i) => self.items[i as usize - 1],
            Operand::Pivot => self.pivot,
        }
    }
}

impl<'gc> Sequence for Numbers<'gc> {
    type Error = Failure<'gc>;

    fn less(&mut self, lhs: Operand, rhs: Operand) -> Result<bool, Failure<'gc>> {
        Ok(vm::less_than(self.operand(lhs), self.operand(rhs)) == Some(true))
    }

    fn swap(&mut self, i: i64, j: i64) -> Result<(), Failure<'gc>> {
        self.items.swap(i as usize - 1, j as usize - 1);
        Ok(())
    }

    fn keep(&mut self, i: i64) -> Result<(), Failure<'gc>> {
        self.pivot = self.operand(Operand::At(i));
        Ok(())
    }

    fn invalid_order(&mut self) -> Failure<'gc> {
        fail(INVALID_ORDER)
    }
}

// ---- with Lua ----

/// The slow body: in place, with a comparator or metamethods.
pub(super) fn sort_slow(task: &mut Task<'_>) -> Result<usize, Raised> {
    let count = length(task, 0)?;
    let order = task.enter(|call| {
        check_arguments(call, count)?;
        // The place of the pivot.
        call.push(Value::Nil)?;
        Ok(if call.arg(1).is_nil() { Order::Default } else { Order::Function })
    })?;
    quicksort(&mut InPlace { task, order }, count)?;
    Ok(0)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    /// The operator `<`.
    Default,
    /// The second argument.
    Function,
}

/// How far a comparison got inside a region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Comparison {
    Decided(bool),
    /// The function and both operands are on the stack.
    Call,
    /// Reading an operand needs a metamethod.
    NotLoaded,
}

/// The elements of argument 0; the pivot is the first pushed value.
struct InPlace<'t, 'a> {
    task: &'t mut Task<'a>,
    order: Order,
}

/// An operand that can be read without a metamethod.
#[inline]
fn operand<'gc>(call: &Call<'gc>, operand: Operand) -> Option<Value<'gc>> {
    match (operand, call.arg(0)) {
        (Operand::Pivot, _) => Some(call.pushed(0)),
        (Operand::At(i), Value::Table(table)) => {
            let value = table.get_int(call.ctx, i);
            (!value.is_nil() || table.metatable().is_none()).then_some(value)
        }
        _ => None,
    }
}

/// The result of comparing two values, as far as it is known.
enum Compared<'gc> {
    /// Whether the first is less.
    Decided(bool),
    /// The metamethod or comparator that decides.
    Ask(Value<'gc>),
}

/// Compares two values as far as that takes no call.
#[inline]
fn compare<'gc>(
    call: &Call<'gc>,
    order: Order,
    lhs: Value<'gc>,
    rhs: Value<'gc>,
) -> Result<Compared<'gc>, Failure<'gc>> {
    if order == Order::Function {
        return Ok(Compared::Ask(call.arg(1)));
    }
    if let Some(decided) = vm::less_than(lhs, rhs) {
        return Ok(Compared::Decided(decided));
    }
    let mut handler = call.ctx.metamethod(lhs, Event::Lt);
    if handler.is_nil() {
        handler = call.ctx.metamethod(rhs, Event::Lt);
    }
    if handler.is_nil() {
        return Err(not_comparable(call, lhs, rhs));
    }
    Ok(Compared::Ask(handler))
}

impl InPlace<'_, '_> {
    fn load(&mut self, operand: Operand) -> Result<(), Raised> {
        match operand {
            Operand::At(i) => load(self.task, 0, i),
            Operand::Pivot => self.task.enter(|call| call.push(call.pushed(0))),
        }
    }

    /// A comparison whose operands have to be read with metamethods.
    fn load_and_compare(&mut self, lhs: Operand, rhs: Operand) -> Result<Comparison, Raised> {
        // The place of the function.
        self.task.enter(|call| call.push(Value::Nil))?;
        self.load(lhs)?;
        self.load(rhs)?;
        let order = self.order;
        self.task.enter(|call| {
            let first = call.pushed_count() - 3;
            let (lhs, rhs) = (call.pushed(first + 1), call.pushed(first + 2));
            match compare(call, order, lhs, rhs)? {
                Compared::Decided(decided) => {
                    for _ in 0..3 {
                        call.pop();
                    }
                    Ok(Comparison::Decided(decided))
                }
                Compared::Ask(function) => {
                    call.set_pushed(first, function);
                    Ok(Comparison::Call)
                }
            }
        })
    }
}

impl Sequence for InPlace<'_, '_> {
    type Error = Raised;

    fn less(&mut self, lhs: Operand, rhs: Operand) -> Result<bool, Raised> {
        let order = self.order;
        let mut comparison = self.task.enter(|call| {
            let (Some(lhs), Some(rhs)) = (operand(call, lhs), operand(call, rhs)) else {
                return Ok(Comparison::NotLoaded);
            };
            match compare(call, order, lhs, rhs)? {
                Compared::Decided(decided) => Ok(Comparison::Decided(decided)),
                Compared::Ask(function) => {
                    call.push_all([function, lhs, rhs])?;
                    Ok(Comparison::Call)
                }
            }
        })?;
        if comparison == Comparison::NotLoaded {
            comparison = self.load_and_compare(lhs, rhs)?;
        }
        if let Comparison::Decided(decided) = comparison {
            return Ok(decided);
        }
        let results = self.task.call(2)?;
        self.task.enter(|call| {
            // The first result counts; it is the last to be popped.
            let mut first = Value::Nil;
            for _ in 0..results {
                first = call.pop();
            }
            Ok(!first.is_falsy())
        })
    }

    fn swap(&mut self, i: i64, j: i64) -> Result<(), Raised> {
        let step = self.task.enter(|call| {
            let Value::Table(table) = call.arg(0) else { return Ok(Step::Call) };
            if table.metatable().is_some() {
                return Ok(Step::Call);
            }
            // Both slots first: an element that a comparator has removed in between is not in the
            // array part, and takes the long way.
            match (table.array_slot(i), table.array_slot(j)) {
                (Some(a), Some(b)) => {
                    let value = a.get();
                    a.set(call.ctx.cx, b.get());
                    b.set(call.ctx.cx, value);
                    Ok(Step::Done)
                }
                _ => Ok(Step::Call),
            }
        })?;
        if step == Step::Call {
            load(self.task, 0, i)?;
            load(self.task, 0, j)?;
            store(self.task, 0, i)?;
            store(self.task, 0, j)?;
        }
        Ok(())
    }

    fn keep(&mut self, i: i64) -> Result<(), Raised> {
        load(self.task, 0, i)?;
        self.task.enter(|call| {
            let pivot = call.pop();
            call.set_pushed(0, pivot);
            Ok(())
        })
    }

    fn invalid_order(&mut self) -> Raised {
        match self.task.enter(|_| Err::<core::convert::Infallible, _>(fail(INVALID_ORDER))) {
            Ok(never) => match never {},
            Err(raised) => raised,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_never_contradict_the_order() {
        let texts: [&[u8]; 6] = [b"", b"\0", b"a", b"a\0", b"abcdefgh", b"abcdefghi"];
        for a in texts {
            for b in texts {
                let consistent = prefix(a).cmp(&prefix(b)).then_with(|| a.cmp(b)) == a.cmp(b);
                assert!(consistent, "{a:?} {b:?}");
            }
        }
    }
}
