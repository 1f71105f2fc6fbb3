//! The `math` library.
//!
//! Called by the interpreter only, through [`open`]. The generator behind `math.random` is
//! xoshiro256** (Blackman and Vigna), its state is [`crate::state::Host::random`]; seeding and the
//! projection to an interval follow the reference manual's implementation, so that a seed gives the
//! same sequence as there.

use core::f64::consts::PI;
use std::time::{SystemTime, UNIX_EPOCH};

use heap_api::Gc;

use super::install;
use super::table::not_comparable;
use crate::error::{NoMemory, fail};
use crate::native::{Call, NativeDef, NativeResult};
use crate::number;
use crate::state::{Ctx, Host};
use crate::table::Table;
use crate::value::Value;
use crate::vm;

static FUNCTIONS: &[NativeDef] = &[
    NativeDef::fast("abs", abs),
    NativeDef::fast("acos", |call| call.ret(call.float(0)?.acos())),
    NativeDef::fast("asin", |call| call.ret(call.float(0)?.asin())),
    NativeDef::fast("atan", atan),
    NativeDef::fast("ceil", |call| rounded(call, f64::ceil)),
    NativeDef::fast("cos", |call| call.ret(call.float(0)?.cos())),
    NativeDef::fast("cosh", |call| call.ret(call.float(0)?.cosh())),
    NativeDef::fast("deg", |call| call.ret(call.float(0)? * (180.0 / PI))),
    NativeDef::fast("exp", |call| call.ret(call.float(0)?.exp())),
    NativeDef::fast("floor", |call| rounded(call, f64::floor)),
    NativeDef::fast("fmod", fmod),
    NativeDef::fast("frexp", frexp),
    NativeDef::fast("ldexp", ldexp),
    NativeDef::fast("log", log),
    NativeDef::fast("log10", |call| call.ret(call.float(0)?.log10())),
    NativeDef::fast("max", |call| extreme(call, Extreme::Greatest)),
    NativeDef::fast("min", |call| extreme(call, Extreme::Least)),
    NativeDef::fast("modf", modf),
    NativeDef::fast("pow", |call| call.ret(call.float(0)?.powf(call.float(1)?))),
    NativeDef::fast("rad", |call| call.ret(call.float(0)? * (PI / 180.0))),
    NativeDef::fast("random", random),
    NativeDef::fast("randomseed", randomseed),
    NativeDef::fast("sin", |call| call.ret(call.float(0)?.sin())),
    NativeDef::fast("sinh", |call| call.ret(call.float(0)?.sinh())),
    NativeDef::fast("sqrt", |call| call.ret(call.float(0)?.sqrt())),
    NativeDef::fast("tan", |call| call.ret(call.float(0)?.tan())),
    NativeDef::fast("tanh", |call| call.ret(call.float(0)?.tanh())),
    NativeDef::fast("tointeger", tointeger),
    NativeDef::fast("type", type_),
    NativeDef::fast("ult", |call| call.ret((call.int(0)? as u64) < call.int(1)? as u64)),
];

/// Makes the library's table and seeds the generator.
///
/// # Errors
///
/// If the heap has no memory for it.
pub fn open<'gc>(ctx: Ctx<'gc>) -> Result<Gc<'gc, Table<'gc>>, NoMemory> {
    let library = Table::new(ctx)?;
    install(ctx, library, FUNCTIONS)?;
    let constants = [
        ("pi", Value::float(PI)),
        ("huge", Value::float(f64::INFINITY)),
        ("maxinteger", Value::Int(i64::MAX)),
        ("mininteger", Value::Int(i64::MIN)),
    ];
    for (name, value) in constants {
        library.set_str(ctx, ctx.str(name)?, value)?;
    }
    let (first, second) = arbitrary_seed(library);
    seed(ctx.host, first, second);
    Ok(library)
}

// ---- rounding and parts ----

fn abs<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    match call.arg(0) {
        Value::Int(i) => call.ret(i.wrapping_abs()),
        _ => call.ret(call.float(0)?.abs()),
    }
}

/// A float with an integer value as that integer, if it is one that fits.
fn float_as_integer<'gc>(value: f64) -> Value<'gc> {
    number::float_to_integer(value).map_or(Value::float(value), Value::Int)
}

fn rounded<'gc>(call: &Call<'gc>, round: fn(f64) -> f64) -> NativeResult<'gc> {
    match call.arg(0) {
        Value::Int(i) => call.ret(i),
        _ => call.ret(float_as_integer(round(call.float(0)?))),
    }
}

fn modf<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    if let Value::Int(i) = call.arg(0) {
        return call.ret_all(&[Value::Int(i), Value::float(0.0)]);
    }
    let value = call.float(0)?;
    let whole = value.trunc();
    // Infinity less infinity is no number.
    let fraction = if value == whole { 0.0 } else { value - whole };
    call.ret_all(&[float_as_integer(whole), Value::float(fraction)])
}

fn fmod<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    match (call.arg(0), call.arg(1)) {
        (Value::Int(_), Value::Int(0)) => Err(call.bad_argument(1, "zero")),
        (Value::Int(a), Value::Int(b)) => call.ret(a.wrapping_rem(b)),
        _ => {
            // The reference implementation looks at the second argument first.
            let divisor = call.float(1)?;
            call.ret(call.float(0)? % divisor)
        }
    }
}

fn tointeger<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    call.ret(call.any(0)?.to_integer().map_or(Value::Nil, Value::Int))
}

fn type_<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let name = match call.any(0)? {
        Value::Int(_) => "integer",
        Value::Float(_) => "float",
        _ => return call.ret(Value::Nil),
    };
    call.ret(call.ctx.str(name)?)
}

// ---- functions of real numbers ----

fn atan<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let y = call.float(0)?;
    let x = if call.arg(1).is_nil() { 1.0 } else { call.float(1)? };
    call.ret(y.atan2(x))
}

fn log<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let x = call.float(0)?;
    if call.arg(1).is_nil() {
        return call.ret(x.ln());
    }
    let base = call.float(1)?;
    // The dedicated functions are exact for exact powers.
    call.ret(if base == 2.0 {
        x.log2()
    } else if base == 10.0 {
        x.log10()
    } else {
        x.ln() / base.ln()
    })
}

const EXPONENT_BITS: u64 = 0x7ff;
const EXPONENT_SHIFT: u32 = f64::MANTISSA_DIGITS - 1;

/// The power of two for a normal exponent.
fn power_of_two(exponent: i64) -> f64 {
    f64::from_bits(((exponent + 1023) as u64 & EXPONENT_BITS) << EXPONENT_SHIFT)
}

/// `x` as `m * 2^e`, where `m` is 0 or from 0.5 to 1 without its sign. Infinities and NaN are as they
/// are.
fn frexp<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let x = call.float(0)?;
    if x == 0.0 || !x.is_finite() {
        return call.ret_all(&[Value::float(x), Value::Int(0)]);
    }
    // Subnormal numbers have no exponent of their own.
    let (x, scale) = if x.abs() < f64::MIN_POSITIVE { (x * power_of_two(64), 64) } else { (x, 0) };
    let exponent = (x.to_bits() >> EXPONENT_SHIFT & EXPONENT_BITS) as i64 - 1022;
    let bits = x.to_bits() & !(EXPONENT_BITS << EXPONENT_SHIFT) | 1022 << EXPONENT_SHIFT;
    call.ret_all(&[Value::float(f64::from_bits(bits)), Value::Int(exponent - scale)])
}

/// `x * 2^e`, rounded once.
fn ldexp<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let mut x = call.float(0)?;
    // A C `int`, as in real Lua.
    let mut exponent = i64::from(call.int(1)? as i32);
    // No number needs a larger exponent to become infinite or zero.
    exponent = exponent.clamp(-2200, 2200);
    while exponent > 1023 {
        x *= power_of_two(1023);
        exponent -= 1023;
    }
    // The last factor is to be so small that no step before it is rounded where the result is not zero.
    const STEP: i64 = 1022 - f64::MANTISSA_DIGITS as i64;
    while exponent < -1022 {
        x *= power_of_two(-STEP);
        exponent += STEP;
    }
    call.ret(x * power_of_two(exponent))
}

/// Which argument `max` and `min` look for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Extreme {
    Greatest,
    Least,
}

/// The first of the greatest or least arguments. Strings compare to strings, as in the reference
/// implementation; metamethods are not called.
fn extreme<'gc>(call: &Call<'gc>, wanted: Extreme) -> NativeResult<'gc> {
    let mut best = call.any(0)?;
    for i in 1..call.count() {
        let other = call.arg(i);
        let (lhs, rhs) = match wanted {
            Extreme::Greatest => (best, other),
            Extreme::Least => (other, best),
        };
        if vm::less_than(lhs, rhs).ok_or_else(|| not_comparable(call, lhs, rhs))? {
            best = other;
        }
    }
    call.ret(best)
}

// ---- random numbers ----

fn next_random(host: &Host) -> u64 {
    let [s0, s1, s2, s3] = host.random.get();
    let result = s1.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
    let (s2, s3) = (s2 ^ s0, s3 ^ s1);
    host.random.set([s0 ^ s3, s1 ^ s2, s2 ^ (s1 << 17), s3.rotate_left(45)]);
    result
}

fn seed(host: &Host, first: i64, second: i64) {
    host.random.set([first as u64, 0xff, second as u64, 0]);
    for _ in 0..16 {
        next_random(host);
    }
}

/// A seed that differs from run to run: the time and an address.
fn arbitrary_seed<'gc>(object: Gc<'gc, Table<'gc>>) -> (i64, i64) {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    (time as i64, object.addr() as i64)
}

/// A number in `0..=limit` from a random one, without bias.
fn project(host: &Host, mut random: u64, limit: u64) -> u64 {
    let mask = if limit == 0 { 0 } else { u64::MAX >> limit.leading_zeros() };
    loop {
        random &= mask;
        if random <= limit {
            return random;
        }
        random = next_random(host);
    }
}

fn random<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let host = call.ctx.host;
    let random = next_random(host);
    let (low, high) = match call.count() {
        0 => return call.ret((random >> 11) as f64 * (0.5 / (1_u64 << 52) as f64)),
        1 => match call.int(0)? {
            0 => return call.ret(random as i64),
            high => (1, high),
        },
        2 => (call.int(0)?, call.int(1)?),
        _ => return Err(fail("wrong number of arguments")),
    };
    if low > high {
        return Err(call.bad_argument(0, "interval is empty"));
    }
    let offset = project(host, random, (high as u64).wrapping_sub(low as u64));
    call.ret((low as u64).wrapping_add(offset) as i64)
}

fn randomseed<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let (first, second) = if call.count() == 0 {
        arbitrary_seed(call.ctx.state.globals)
    } else {
        (call.int(0)?, call.opt_int(1, 0)?)
    };
    seed(call.ctx.host, first, second);
    call.ret_all(&[Value::Int(first), Value::Int(second)])
}
