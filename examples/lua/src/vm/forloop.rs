//! The numeric `for`: how its three values become a loop.

use crate::error::{Failure, fail};
use crate::number::{self, Number};
use crate::state::Ctx;
use crate::value::Value;

use super::describe::type_name;

/// A loop that is about to run.
pub(super) enum Loop {
    /// It does not run at all.
    Skip,
    /// `further` iterations follow the first.
    Int {
        /// Value of the variable in the first iteration.
        first: i64,
        /// Iterations after the first.
        further: u64,
    },
    /// A loop on floats.
    Float {
        /// Value of the variable in the first iteration.
        first: f64,
        /// The limit.
        limit: f64,
        /// The step.
        step: f64,
    },
}

/// Works out how often the loop runs.
#[inline(never)]
pub(super) fn prepare<'gc>(
    ctx: Ctx<'gc>,
    first: Value<'gc>,
    limit: Value<'gc>,
    step: Value<'gc>,
) -> Result<Loop, Failure<'gc>> {
    if let (Value::Int(first), Value::Int(step)) = (first, step) {
        if step == 0 {
            return Err(fail("'for' step is zero"));
        }
        let Some(limit) = integer_limit(ctx, first, limit, step)? else { return Ok(Loop::Skip) };
        let further = if step > 0 {
            (limit as u64).wrapping_sub(first as u64) / step as u64
        } else {
            (first as u64).wrapping_sub(limit as u64) / step.unsigned_abs()
        };
        return Ok(Loop::Int { first, further });
    }
    let limit = float(ctx, limit, "limit")?;
    let step = float(ctx, step, "step")?;
    let first = float(ctx, first, "initial value")?;
    if step == 0.0 {
        return Err(fail("'for' step is zero"));
    }
    // A loop with a limit that is not a number runs once.
    let is_past = if step > 0.0 { limit < first } else { first < limit };
    Ok(if is_past { Loop::Skip } else { Loop::Float { first, limit, step } })
}

/// The limit of an integer loop, clipped to the integers; `None` if the loop does not run.
fn integer_limit<'gc>(
    ctx: Ctx<'gc>,
    first: i64,
    limit: Value<'gc>,
    step: i64,
) -> Result<Option<i64>, Failure<'gc>> {
    let limit = match limit.to_number() {
        Some(Number::Int(limit)) => limit,
        Some(Number::Float(limit)) => {
            let rounded = if step > 0 { limit.floor() } else { limit.ceil() };
            match number::float_to_integer(rounded) {
                Some(limit) => limit,
                // Beyond the integers; NaN counts as below.
                None if limit > 0.0 && step > 0 => i64::MAX,
                None if limit > 0.0 || step > 0 => return Ok(None),
                None => i64::MIN,
            }
        }
        None => return Err(not_a_number(ctx, "limit", limit)),
    };
    let runs = if step > 0 { first <= limit } else { first >= limit };
    Ok(runs.then_some(limit))
}

fn float<'gc>(ctx: Ctx<'gc>, value: Value<'gc>, what: &str) -> Result<f64, Failure<'gc>> {
    value.to_float().ok_or_else(|| not_a_number(ctx, what, value))
}

#[cold]
fn not_a_number<'gc>(ctx: Ctx<'gc>, what: &str, value: Value<'gc>) -> Failure<'gc> {
    let got = type_name(ctx, value);
    fail(format!("bad 'for' {what} (number expected, got {got})"))
}
