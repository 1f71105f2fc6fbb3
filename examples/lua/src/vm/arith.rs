//! Arithmetic, without metamethods: the slow path for what the loop does not inline.

use crate::error::{Failure, fail};
use crate::number::{self, Number};
use crate::state::Event;
use crate::value::Value;

/// An arithmetic or bitwise operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names of Lua's operators")]
pub enum Arith {
    Add,
    Sub,
    Mul,
    Div,
    IDiv,
    Mod,
    Pow,
    BAnd,
    BOr,
    BXor,
    Shl,
    Shr,
    Unm,
    BNot,
}

impl Arith {
    /// The operator's event.
    #[must_use]
    pub fn event(self) -> Event {
        match self {
            Arith::Add => Event::Add,
            Arith::Sub => Event::Sub,
            Arith::Mul => Event::Mul,
            Arith::Div => Event::Div,
            Arith::IDiv => Event::IDiv,
            Arith::Mod => Event::Mod,
            Arith::Pow => Event::Pow,
            Arith::BAnd => Event::BAnd,
            Arith::BOr => Event::BOr,
            Arith::BXor => Event::BXor,
            Arith::Shl => Event::Shl,
            Arith::Shr => Event::Shr,
            Arith::Unm => Event::Unm,
            Arith::BNot => Event::BNot,
        }
    }

    /// Whether the operator works on integers only.
    #[must_use]
    pub fn is_bitwise(self) -> bool {
        use Arith::{BAnd, BNot, BOr, BXor, Shl, Shr};
        matches!(self, BAnd | BOr | BXor | Shl | Shr | BNot)
    }
}

/// The operation on numbers and, unless it is bitwise, on strings that look like numbers; `None` if
/// an operand is neither or, for a bitwise operator, has no integer value. Unary operators take their operand twice.
///
/// # Errors
///
/// Integer division by zero.
pub fn arith<'gc>(
    op: Arith,
    lhs: Value<'gc>,
    rhs: Value<'gc>,
) -> Result<Option<Value<'gc>>, Failure<'gc>> {
    if op.is_bitwise() {
        // Only arithmetic operators convert strings.
        let (Some(a), Some(b)) = (exact_integer(lhs), exact_integer(rhs)) else { return Ok(None) };
        return Ok(Some(Value::Int(match op {
            Arith::BAnd => a & b,
            Arith::BOr => a | b,
            Arith::BXor => a ^ b,
            Arith::Shl => number::shift_left(a, b),
            Arith::Shr => number::shift_right(a, b),
            _ => !a,
        })));
    }
    let (Some(lhs), Some(rhs)) = (lhs.to_number(), rhs.to_number()) else { return Ok(None) };
    if let (Number::Int(a), Number::Int(b)) = (lhs, rhs) {
        match op {
            Arith::Add => return Ok(Some(Value::Int(a.wrapping_add(b)))),
            Arith::Sub => return Ok(Some(Value::Int(a.wrapping_sub(b)))),
            Arith::Mul => return Ok(Some(Value::Int(a.wrapping_mul(b)))),
            Arith::Unm => return Ok(Some(Value::Int(a.wrapping_neg()))),
            Arith::IDiv => {
                let quotient = number::integer_floor_div(a, b);
                return quotient.map(|q| Some(Value::Int(q))).ok_or_else(divide_by_zero);
            }
            Arith::Mod => {
                let remainder = number::integer_modulo(a, b);
                return remainder.map(|r| Some(Value::Int(r))).ok_or_else(modulo_by_zero);
            }
            _ => {}
        }
    }
    let (a, b) = (to_float(lhs), to_float(rhs));
    Ok(Some(Value::float(match op {
        Arith::Add => a + b,
        Arith::Sub => a - b,
        Arith::Mul => a * b,
        Arith::Div => a / b,
        Arith::IDiv => number::float_floor_div(a, b),
        Arith::Mod => number::float_modulo(a, b),
        Arith::Pow => power(a, b),
        _ => -a,
    })))
}

/// `lhs ^ rhs`; squares are common enough to be worth a test.
pub(super) fn power(lhs: f64, rhs: f64) -> f64 {
    if rhs == 2.0 { lhs * lhs } else { lhs.powf(rhs) }
}

fn to_float(number: Number) -> f64 {
    match number {
        Number::Int(i) => i as f64,
        Number::Float(f) => f,
    }
}

fn exact_integer(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Int(i) => Some(i),
        Value::Float(f) => number::float_to_integer(f.get()),
        _ => None,
    }
}

#[cold]
pub(super) fn divide_by_zero<'gc>() -> Failure<'gc> {
    fail("attempt to divide by zero")
}

#[cold]
pub(super) fn modulo_by_zero<'gc>() -> Failure<'gc> {
    fail("attempt to perform 'n%0'")
}
