//! Operators on numbers, as the loop has them inline. What they leave to [`super::general`]: strings,
//! metamethods, errors.
//!
//! Operators write their result into a register themselves. A returned result would have to be
//! distinguished from "no result", and a float would travel through general registers.

use core::cell::Cell;
use core::hint::cold_path;

use crate::number;
use crate::value::Value;

use super::super::arith::power;
use super::Flow;

/// An operator on integers and floats. `int` gives `None` for what it cannot divide.
#[inline(always)]
fn arith<'gc>(
    to: &Cell<Value<'gc>>,
    lhs: Value<'gc>,
    rhs: Value<'gc>,
    int: impl Fn(i64, i64) -> Option<i64>,
    float: impl Fn(f64, f64) -> f64,
) -> Flow {
    match (lhs, rhs) {
        (Value::Int(a), Value::Int(b)) => match int(a, b) {
            Some(value) => to.set(Value::Int(value)),
            None => return Flow::General,
        },
        (Value::Float(a), Value::Float(b)) => to.set(Value::float(float(a.get(), b.get()))),
        (Value::Int(a), Value::Float(b)) => to.set(Value::float(float(a as f64, b.get()))),
        (Value::Float(a), Value::Int(b)) => to.set(Value::float(float(a.get(), b as f64))),
        _ => return Flow::General,
    }
    Flow::Next
}

/// An operator whose result is a float in any case.
#[inline(always)]
fn float_arith<'gc>(
    to: &Cell<Value<'gc>>,
    lhs: Value<'gc>,
    rhs: Value<'gc>,
    float: impl Fn(f64, f64) -> f64,
) -> Flow {
    let (a, b) = match (lhs, rhs) {
        (Value::Float(a), Value::Float(b)) => (a.get(), b.get()),
        (Value::Int(a), Value::Int(b)) => (a as f64, b as f64),
        (Value::Int(a), Value::Float(b)) => (a as f64, b.get()),
        (Value::Float(a), Value::Int(b)) => (a.get(), b as f64),
        _ => return Flow::General,
    };
    to.set(Value::float(float(a, b)));
    Flow::Next
}

/// An operator on integers alone.
#[inline(always)]
fn bitwise<'gc>(
    to: &Cell<Value<'gc>>,
    lhs: Value<'gc>,
    rhs: Value<'gc>,
    int: impl Fn(i64, i64) -> i64,
) -> Flow {
    match (lhs, rhs) {
        (Value::Int(a), Value::Int(b)) => to.set(Value::Int(int(a, b))),
        _ => return Flow::General,
    }
    Flow::Next
}

/// Makes functions of one shape: `name(to, lhs, rhs)`.
macro_rules! operators {
    ($($name:ident = $shape:ident($($rule:expr),*);)*) => {
        $(
            #[inline(always)]
            pub(super) fn $name<'gc>(
                to: &Cell<Value<'gc>>,
                lhs: Value<'gc>,
                rhs: Value<'gc>,
            ) -> Flow {
                $shape(to, lhs, rhs, $($rule),*)
            }
        )*
    };
}

operators! {
    add = arith(|a, b| Some(a.wrapping_add(b)), |a, b| a + b);
    sub = arith(|a, b| Some(a.wrapping_sub(b)), |a, b| a - b);
    mul = arith(|a, b| Some(a.wrapping_mul(b)), |a, b| a * b);
    idiv = arith(number::integer_floor_div, number::float_floor_div);
    modulo = arith(number::integer_modulo, number::float_modulo);
    div = float_arith(|a, b| a / b);
    pow = float_arith(power);
    band = bitwise(|a, b| a & b);
    bor = bitwise(|a, b| a | b);
    bxor = bitwise(|a, b| a ^ b);
    shl = bitwise(number::shift_left);
    shr = bitwise(number::shift_right);
}

/// `-value`
#[inline(always)]
pub(super) fn negate<'gc>(to: &Cell<Value<'gc>>, value: Value<'gc>) -> Flow {
    match value {
        Value::Int(a) => to.set(Value::Int(a.wrapping_neg())),
        Value::Float(a) => to.set(Value::float(-a.get())),
        _ => return Flow::General,
    }
    Flow::Next
}

/// `~value`
#[inline(always)]
pub(super) fn complement<'gc>(to: &Cell<Value<'gc>>, value: Value<'gc>) -> Flow {
    match value {
        Value::Int(a) => to.set(Value::Int(!a)),
        _ => return Flow::General,
    }
    Flow::Next
}

// ---- comparisons; `None`: a matter of strings, metamethods or errors ----

/// `lhs < rhs`
#[inline(always)]
pub(super) fn less<'gc>(lhs: Value<'gc>, rhs: Value<'gc>) -> Option<bool> {
    match (lhs, rhs) {
        (Value::Int(a), Value::Int(b)) => Some(a < b),
        (Value::Float(a), Value::Float(b)) => Some(a.get() < b.get()),
        _ => None,
    }
}

/// `lhs <= rhs`
#[inline(always)]
pub(super) fn less_or_equal<'gc>(lhs: Value<'gc>, rhs: Value<'gc>) -> Option<bool> {
    match (lhs, rhs) {
        (Value::Int(a), Value::Int(b)) => Some(a <= b),
        (Value::Float(a), Value::Float(b)) => Some(a.get() <= b.get()),
        _ => None,
    }
}

/// `lhs == rhs`
#[inline(always)]
pub(super) fn equal<'gc>(lhs: Value<'gc>, rhs: Value<'gc>) -> Option<bool> {
    if let (Value::Int(a), Value::Int(b)) = (lhs, rhs) {
        return Some(a == b);
    }
    if let (Value::Table(a), Value::Table(b)) = (lhs, rhs) {
        let is_same = a.ptr_eq(b);
        let is_plain = a.metatable().is_none() && b.metatable().is_none();
        return (is_same || is_plain).then_some(is_same);
    }
    if lhs.is_nil() || rhs.is_nil() {
        return Some(lhs.is_nil() && rhs.is_nil());
    }
    cold_path();
    match (lhs, rhs) {
        (Value::UserData(_), Value::UserData(_)) => None,
        _ => Some(raw_equal(lhs, rhs)),
    }
}

/// `value == k`, without metamethods, for a constant.
#[inline(always)]
pub(super) fn equal_constant<'gc>(value: Value<'gc>, k: Value<'gc>) -> bool {
    match (value, k) {
        (Value::Nil, Value::Nil) | (Value::False, Value::False) | (Value::True, Value::True) => {
            true
        }
        (_, Value::Nil | Value::False | Value::True) => false,
        (Value::Str(a), Value::Str(b)) if b.is_short() => a.ptr_eq(b),
        _ => {
            cold_path();
            raw_equal(value, k)
        }
    }
}

#[inline(never)]
fn raw_equal<'gc>(lhs: Value<'gc>, rhs: Value<'gc>) -> bool {
    lhs.raw_equal(rhs)
}

/// `value == imm`
#[inline(always)]
pub(super) fn equal_int(value: Value<'_>, imm: i16) -> bool {
    match value {
        Value::Int(i) => i == i64::from(imm),
        Value::Float(f) => f.get() == f64::from(imm),
        _ => false,
    }
}
