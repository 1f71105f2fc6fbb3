//! `table.sort`.
//!
//! Without a comparator and with elements that are all integers, all floats or all strings the
//! order is total and equal elements cannot be told apart, so any algorithm will do: the standard
//! library's. All else goes through [`quicksort`], which asks for the same comparisons in the same
//! order as the reference manual's implementation, because a script can see them.
//!
//! * SO1: the recursion of the quicksort is an explicit stack of intervals. It sorts the smaller
//!   part first, so the stack holds at most 64 of them.
//! * SO2: an inconsistent comparator gives some order or "invalid order function for sorting"; no
//!   index outside the table is ever used for the result.

use heap_api::Gc;

use super::access::{Step, length, load, not_comparable, store};
use super::{Access, Use, access};
use crate::error::{Failure, Raised, fail};
use crate::native::{Call, NativeResult};
use crate::state::Event;
use crate::string::Str;
use crate::table::Table;
use crate::value::Value;
use crate::vm::{self, Task};

/// Intervals longer than this get a pivot from a varying place once they have split badly.
const LONG_INTERVAL: i64 = 100;

const INVALID_ORDER: &str = "invalid order function for sorting";

/// What a comparison is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operand {
    /// The element with this index, from 1.
    At(i64),
    /// The element that was kept.
    Pivot,
}

/// Something that [`quicksort`] can sort.
trait Sequence {
    type Error;

    /// Whether one comes before the other.
    fn less(&mut self, lhs: Operand, rhs: Operand) -> Result<bool, Self::Error>;

    /// Exchanges two elements.
    fn swap(&mut self, i: i64, j: i64) -> Result<(), Self::Error>;

    /// Keeps a copy of an element, to be [`Operand::Pivot`].
    fn keep(&mut self, i: i64) -> Result<(), Self::Error>;

    /// The error for an order that contradicts itself.
    fn invalid_order(&mut self) -> Self::Error;
}

/// Sorts elements `1..=count`.
fn quicksort<S: Sequence>(sequence: &mut S, count: i64) -> Result<(), S::Error> {
    let mut pending = vec![(1, count, 0_u64)];
    while let Some((mut low, mut high, salt)) = pending.pop() {
        while low < high {
            let Some(middle) = split(sequence, low, high, salt)? else { break };
            let (below, above) = (middle - low, high - middle);
            let unbalanced = (below.max(above) - 1) / 128 > below.min(above);
            let later_salt = if unbalanced { next_salt(salt) } else { salt };
            if below < above {
                pending.push((middle + 1, high, later_salt));
                high = middle - 1;
            } else {
                pending.push((low, middle - 1, later_salt));
                low = middle + 1;
            }
        }
    }
    Ok(())
}

/// One step of a linear congruential generator; it never gives zero from zero.
fn next_salt(salt: u64) -> u64 {
    salt.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

/// Splits an interval around a median of three. `None` if it is sorted already, being short.
fn split<S: Sequence>(
    sequence: &mut S,
    low: i64,
    high: i64,
    salt: u64,
) -> Result<Option<i64>, S::Error> {
    use Operand::At;
    if sequence.less(At(high), At(low))? {
        sequence.swap(low, high)?;
    }
    if high - low == 1 {
        return Ok(None);
    }
    let middle = if high - low < LONG_INTERVAL || salt == 0 {
        (low + high) / 2
    } else {
        // Somewhere in the middle half.
        let quarter = (high - low) / 4;
        low + quarter + (salt % (2 * quarter) as u64) as i64
    };
    if sequence.less(At(middle), At(low))? {
        sequence.swap(middle, low)?;
    } else if sequence.less(At(high), At(middle))? {
        sequence.swap(middle, high)?;
    }
    if high - low == 2 {
        return Ok(None);
    }
    sequence.keep(middle)?;
    sequence.swap(middle, high - 1)?;
    partition(sequence, low, high).map(Some)
}

/// Moves what is less than the pivot before it and what is greater behind it. The pivot waits at
/// `high - 1`, `low` is no greater and `high` no less than it: both scans stop at the latest there,
/// unless the order is inconsistent.
fn partition<S: Sequence>(sequence: &mut S, low: i64, high: i64) -> Result<i64, S::Error> {
    use Operand::{At, Pivot};
    let (mut i, mut j) = (low, high - 1);
    loop {
        i += 1;
        while sequence.less(At(i), Pivot)? {
            if i == high - 1 {
                return Err(sequence.invalid_order());
            }
            i += 1;
        }
        j -= 1;
        while sequence.less(Pivot, At(j))? {
            if j < i {
                return Err(sequence.invalid_order());
            }
            j -= 1;
        }
        if j < i {
            sequence.swap(high - 1, i)?;
            return Ok(i);
        }
        sequence.swap(i, j)?;
    }
}

// ---- without Lua ----

/// The fast body: elements that compare without metamethods.
pub(super) fn sort<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let Access::Plain(table) = access(call, 0, Use::READ_WRITE_LENGTH)? else { return call.slow() };
    let count = table.length();
    check_arguments(call, count)?;
    let host = call.ctx.host;
    if count > 1 && (!call.arg(1).is_nil() || count as usize > host.buffer_limit / 24) {
        return call.slow();
    }
    let mut kinds = Kinds::default();
    for i in 1..=count {
        kinds.add(table.get_int(i));
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

fn sort_strings<'gc>(
    call: &Call<'gc>,
    table: Gc<'gc, Table<'gc>>,
    count: i64,
) -> Result<(), Failure<'gc>> {
    // The first bytes decide most comparisons without a look at the string.
    let mut items: Vec<(u64, Str<'gc>)> = Vec::with_capacity(count as usize);
    for i in 1..=count {
        if let Value::Str(text) = table.get_int(i) {
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
    let mut items: Vec<i64> = (1..=count).filter_map(|i| table.get_int(i).to_integer()).collect();
    items.sort_unstable();
    put_back(call, table, items.into_iter().map(Value::Int))
}

fn sort_numbers<'gc>(
    call: &Call<'gc>,
    table: Gc<'gc, Table<'gc>>,
    count: i64,
) -> Result<(), Failure<'gc>> {
    let items = (1..=count).map(|i| table.get_int(i)).collect();
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
            let value = table.get_int(i);
            (!value.is_nil() || table.metatable().is_none()).then_some(value)
        }
        _ => None,
    }
}

/// What is known of two values.
enum Compared<'gc> {
    /// Whether the first is less.
    Decided(bool),
    /// The function that knows.
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
                    call.push(function)?;
                    call.push(lhs)?;
                    call.push(rhs)?;
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
            // Both slots first: an element that a comparator has removed meanwhile is not in the
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

    /// Numbers under an order that may be nonsense.
    struct Checked<F> {
        items: Vec<u32>,
        pivot: u32,
        order: F,
    }

    impl<F: FnMut(u32, u32) -> bool> Checked<F> {
        fn operand(&self, operand: Operand) -> u32 {
            match operand {
                Operand::At(i) => self.items[i as usize - 1],
                Operand::Pivot => self.pivot,
            }
        }
    }

    impl<F: FnMut(u32, u32) -> bool> Sequence for Checked<F> {
        type Error = &'static str;

        fn less(&mut self, lhs: Operand, rhs: Operand) -> Result<bool, &'static str> {
            let (lhs, rhs) = (self.operand(lhs), self.operand(rhs));
            Ok((self.order)(lhs, rhs))
        }

        fn swap(&mut self, i: i64, j: i64) -> Result<(), &'static str> {
            self.items.swap(i as usize - 1, j as usize - 1);
            Ok(())
        }

        fn keep(&mut self, i: i64) -> Result<(), &'static str> {
            self.pivot = self.operand(Operand::At(i));
            Ok(())
        }

        fn invalid_order(&mut self) -> &'static str {
            INVALID_ORDER
        }
    }

    fn sorted(
        items: Vec<u32>,
        order: impl FnMut(u32, u32) -> bool,
    ) -> (Vec<u32>, Result<(), &'static str>) {
        let count = items.len() as i64;
        let mut sequence = Checked { items, pivot: 0, order };
        let result = quicksort(&mut sequence, count);
        (sequence.items, result)
    }

    /// A generator of numbers below `limit`.
    fn numbers(mut seed: u64, limit: u32) -> impl FnMut() -> u32 {
        move || {
            seed = next_salt(seed);
            (seed >> 33) as u32 % limit
        }
    }

    #[test]
    fn every_short_sequence_is_sorted() {
        for length in 0..7_u32 {
            for code in 0..7_u32.pow(length) {
                let items: Vec<u32> = (0..length).map(|i| code / 7_u32.pow(i) % 7).collect();
                let mut expected = items.clone();
                expected.sort_unstable();
                assert_eq!(sorted(items, |a, b| a < b), (expected, Ok(())));
            }
        }
    }

    #[test]
    fn long_sequences_are_sorted() {
        for (length, limit) in [(1000, 10), (1000, 1_000_000), (20_000, 2), (20_000, 1 << 30)] {
            let items: Vec<u32> = core::iter::repeat_with(numbers(1, limit)).take(length).collect();
            let mut expected = items.clone();
            expected.sort_unstable();
            assert_eq!(sorted(items, |a, b| a < b), (expected.clone(), Ok(())));
            assert_eq!(sorted(expected.clone(), |a, b| a < b), (expected.clone(), Ok(())));
            let descending = expected.iter().rev().copied().collect();
            assert_eq!(sorted(expected, |a, b| a > b), (descending, Ok(())));
        }
    }

    #[test]
    fn an_inconsistent_order_ends_and_loses_nothing() {
        let mut failures = 0;
        for seed in 0..200 {
            let items: Vec<u32> = (0..60).collect();
            let mut coin = numbers(seed, 2);
            let (mut items, result) = sorted(items, |_, _| coin() == 0);
            failures += usize::from(result.is_err());
            items.sort_unstable();
            assert_eq!(items, (0..60).collect::<Vec<u32>>(), "seed {seed}");
        }
        assert!(failures > 0, "a coin is noticed sometimes");
        assert_eq!(sorted(vec![1, 2, 3, 4, 5], |_, _| true).1, Err(INVALID_ORDER));
    }

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
