//! Order, without metamethods.

use crate::number;
use crate::value::Value;

/// `lhs < rhs` for two numbers or two strings.
#[must_use]
pub fn less_than<'gc>(lhs: Value<'gc>, rhs: Value<'gc>) -> Option<bool> {
    Some(match (lhs, rhs) {
        (Value::Int(a), Value::Int(b)) => a < b,
        (Value::Float(a), Value::Float(b)) => a.get() < b.get(),
        (Value::Int(a), Value::Float(b)) => int_less_than_float(a, b.get()),
        (Value::Float(a), Value::Int(b)) => !a.get().is_nan() && !int_less_equal_float(b, a.get()),
        (Value::Str(a), Value::Str(b)) => a.as_bytes() < b.as_bytes(),
        _ => return None,
    })
}

/// `lhs <= rhs` for two numbers or two strings.
#[must_use]
pub fn less_equal<'gc>(lhs: Value<'gc>, rhs: Value<'gc>) -> Option<bool> {
    Some(match (lhs, rhs) {
        (Value::Int(a), Value::Int(b)) => a <= b,
        (Value::Float(a), Value::Float(b)) => a.get() <= b.get(),
        (Value::Int(a), Value::Float(b)) => int_less_equal_float(a, b.get()),
        (Value::Float(a), Value::Int(b)) => !a.get().is_nan() && !int_less_than_float(b, a.get()),
        (Value::Str(a), Value::Str(b)) => a.as_bytes() <= b.as_bytes(),
        _ => return None,
    })
}

/// Exact: converting the integer could round it.
fn int_less_than_float(a: i64, b: f64) -> bool {
    match number::float_to_integer(b.ceil()) {
        Some(b) => a < b,
        None => b > 0.0,
    }
}

fn int_less_equal_float(a: i64, b: f64) -> bool {
    match number::float_to_integer(b.floor()) {
        Some(b) => a <= b,
        None => b > 0.0,
    }
}
