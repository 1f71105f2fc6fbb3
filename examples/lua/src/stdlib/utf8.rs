//! The `utf8` library.
//!
//! Called by the interpreter only, through [`open`]. Decoding and position arithmetic are in
//! [`crate::lstr`]; here are the arguments and results.

use heap_api::Gc;

use super::install;
use super::string::buffer::Buffer;
use crate::error::{Failure, NoMemory, fail};
use crate::function::new_native;
use crate::lstr::{self, StringError, Utf8Length, Utf8Mode};
use crate::native::{Call, Done, NativeDef, NativeResult};
use crate::state::Ctx;
use crate::table::Table;
use crate::thread::STACK_LIMIT;
use crate::value::Value;

static FUNCTIONS: &[NativeDef] = &[
    NativeDef::fast("char", char_),
    NativeDef::fast("codepoint", codepoint),
    NativeDef::fast("len", len),
    NativeDef::fast("offset", offset),
];

/// Has the two iterators as its upvalues.
static CODES: NativeDef = NativeDef::fast("codes", codes);
static NEXT_STRICT: NativeDef = NativeDef::fast("next", |call| next(call, Utf8Mode::Strict));
static NEXT_LAX: NativeDef = NativeDef::fast("next", |call| next(call, Utf8Mode::Lax));

/// Makes the library's table.
///
/// # Errors
///
/// If the heap has no memory for it.
pub fn open<'gc>(ctx: Ctx<'gc>) -> Result<Gc<'gc, Table<'gc>>, NoMemory> {
    let library = Table::new(ctx)?;
    install(ctx, library, FUNCTIONS)?;
    let strict = new_native(ctx, &NEXT_STRICT, &[])?;
    let lax = new_native(ctx, &NEXT_LAX, &[])?;
    let codes = new_native(ctx, &CODES, &[Value::Native(strict), Value::Native(lax)])?;
    library.set_str(ctx, ctx.str(CODES.name)?, Value::Native(codes))?;
    let pattern = ctx.str(lstr::UTF8_CHAR_PATTERN)?;
    library.set_str(ctx, ctx.str("charpattern")?, Value::Str(pattern))?;
    Ok(library)
}

/// The mode that the flag `lax` at argument `i` asks for.
fn mode(call: &Call<'_>, i: usize) -> Utf8Mode {
    if call.arg(i).is_falsy() { Utf8Mode::Strict } else { Utf8Mode::Lax }
}

#[cold]
fn error<'gc>(call: &Call<'gc>, error: StringError) -> Failure<'gc> {
    match error.argument() {
        Some(argument) => call.bad_argument(usize::from(argument) - 1, error.to_string()),
        None => fail(error.to_string()),
    }
}

fn char_<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let mut out = Buffer::new(call.ctx.host);
    for i in 0..call.count() {
        lstr::utf8_encode(out.room(lstr::MAX_UTF8_LENGTH)?, call.int(i)?)
            .map_err(|error| call.bad_argument(i, error.to_string()))?;
    }
    call.ret(out.finish(call.ctx)?)
}

fn codepoint<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let text = call.string(0)?.as_bytes();
    let first = call.opt_int(1, 1)?;
    let last = call.opt_int(2, first)?;
    let mut codes = Vec::new();
    lstr::utf8_codepoints(text, (first, last), STACK_LIMIT, mode(call, 3), |code| codes.push(code))
        .map_err(|e| error(call, e))?;
    super::table::reserve_results(call, codes.len(), "stack overflow (string slice too long)")?;
    for (i, code) in codes.iter().enumerate() {
        call.set_result(i, Value::Int(i64::from(*code)));
    }
    Ok(Done::Results(codes.len()))
}

fn codes<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let text = call.string(0)?;
    if lstr::is_continuation(text.as_bytes(), 0) {
        return Err(call.bad_argument(0, StringError::InvalidUtf8.to_string()));
    }
    let next = call.upvalue(match mode(call, 1) {
        Utf8Mode::Strict => 0,
        Utf8Mode::Lax => 1,
    });
    call.ret_all(&[next, Value::Str(text), Value::Int(0)])
}

fn next<'gc>(call: &Call<'gc>, mode: Utf8Mode) -> NativeResult<'gc> {
    let text = call.string(0)?.as_bytes();
    match lstr::utf8_next(text, call.int(1)?, mode).map_err(|e| error(call, e))? {
        Some((at, code)) => call.ret_all(&[Value::Int(at as i64 + 1), Value::Int(i64::from(code))]),
        None => call.ret_none(),
    }
}

fn len<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let text = call.string(0)?.as_bytes();
    let (first, last) = (call.opt_int(1, 1)?, call.opt_int(2, -1)?);
    let found = lstr::utf8_len(text, first, last, mode(call, 3)).map_err(|e| error(call, e))?;
    match found {
        Utf8Length::Characters(count) => call.ret(count as i64),
        Utf8Length::InvalidAt(at) => call.ret_all(&[Value::Nil, Value::Int(at as i64 + 1)]),
    }
}

fn offset<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let text = call.string(0)?.as_bytes();
    let n = call.int(1)?;
    let from = call.opt_int(2, lstr::utf8_offset_default(n, text.len()))?;
    let found = lstr::utf8_offset(text, n, from).map_err(|e| error(call, e))?;
    call.ret(found.map_or(Value::Nil, |at| Value::Int(at as i64 + 1)))
}
