//! The `string` library.
//!
//! Called by the interpreter only, through [`open`], which also makes the metatable that all
//! strings share. The languages inside the library (patterns, formats, packing) are in
//! [`crate::lstr`]; here are arguments, results and calls back into Lua.

pub(super) mod buffer;
mod format;
mod pack;
mod search;

use heap_api::Gc;

use super::install;
use super::table::reserve_results;
use crate::error::{Fail, Failure, NoMemory, fail};
use crate::lstr::{self, StringError};
use crate::native::{Call, Done, NativeDef, NativeResult};
use crate::state::{Ctx, Event};
use crate::string::{SHORT_MAX, Str};
use crate::table::Table;
use crate::value::{Type, Value};
use buffer::Buffer;

/// Most bytes in the result of `rep`.
const REP_LIMIT: u64 = i32::MAX as u64;

static FUNCTIONS: &[NativeDef] = &[
    NativeDef::fast("byte", byte),
    NativeDef::fast("char", char_),
    NativeDef::fast("dump", dump),
    NativeDef::fast("find", search::find),
    NativeDef::either("format", format::format, format::format_slow),
    NativeDef::fast("gmatch", search::gmatch),
    NativeDef::either("gsub", search::gsub, search::gsub_slow),
    NativeDef::fast("len", |call| call.ret(call.string(0)?.len() as i64)),
    NativeDef::fast("lower", |call| mapped(call, |byte| byte.to_ascii_lowercase())),
    NativeDef::fast("match", search::match_),
    NativeDef::fast("pack", pack::pack),
    NativeDef::fast("packsize", pack::packsize),
    NativeDef::fast("rep", rep),
    NativeDef::fast("reverse", reverse),
    NativeDef::fast("sub", sub),
    NativeDef::fast("unpack", pack::unpack),
    NativeDef::fast("upper", |call| mapped(call, |byte| byte.to_ascii_uppercase())),
];

/// Makes the library's table and the strings' metatable.
///
/// # Errors
///
/// If the heap has no memory for it.
pub fn open<'gc>(ctx: Ctx<'gc>) -> Result<Gc<'gc, Table<'gc>>, NoMemory> {
    let library = Table::new(ctx)?;
    install(ctx, library, FUNCTIONS)?;
    let metatable = Table::new(ctx)?;
    metatable.set_str(ctx, ctx.state.event_key(Event::Index), Value::Table(library))?;
    ctx.state.set_type_metatable(ctx.cx, Type::String, Some(metatable));
    Ok(library)
}

/// A part of a string; the string itself if that is all of it.
fn substring<'gc>(
    ctx: Ctx<'gc>,
    text: Str<'gc>,
    range: core::ops::Range<usize>,
) -> Result<Str<'gc>, NoMemory> {
    if range.len() == text.len() { Ok(text) } else { ctx.str(&text.as_bytes()[range]) }
}

fn sub<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let text = call.string(0)?;
    let range = lstr::sub_range(text.len(), call.int(1)?, call.opt_int(2, -1)?);
    call.ret(substring(call.ctx, text, range)?)
}

fn byte<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let text = call.string(0)?.as_bytes();
    let first = call.opt_int(1, 1)?;
    let range = lstr::sub_range(text.len(), first, call.opt_int(2, first)?);
    let bytes = &text[range];
    if let [byte] = bytes {
        return call.ret(i64::from(*byte));
    }
    reserve_results(call, bytes.len(), "stack overflow (string slice too long)")?;
    for (i, byte) in bytes.iter().enumerate() {
        call.set_result(i, Value::Int(i64::from(*byte)));
    }
    Ok(Done::Results(bytes.len()))
}

fn char_<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let mut out = Buffer::new(call.ctx.host);
    for i in 0..call.count() {
        let byte = u8::try_from(call.int(i)?);
        out.append(&[byte.map_err(|_| call.bad_argument(i, "value out of range"))?])?;
    }
    call.ret(out.finish(call.ctx)?)
}

fn dump<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    match call.arg(0) {
        Value::Function(closure) => {
            let chunk = closure.as_ref().header.proto.as_ref().dump(!call.arg(1).is_falsy());
            call.ret(call.ctx.str(chunk)?)
        }
        Value::Native(_) => Err(fail("unable to dump given function")),
        _ => Err(call.type_error(0, "function")),
    }
}

/// A string of `len` bytes, each computed from its index.
fn generated<'gc>(
    ctx: Ctx<'gc>,
    len: usize,
    byte: impl FnMut(usize) -> u8,
) -> Result<Str<'gc>, Failure<'gc>> {
    if len > SHORT_MAX {
        return Ok(Str::generate(ctx, len, byte)?);
    }
    let mut out = Buffer::new(ctx.host);
    out.room(len)?.extend((0..len).map(byte));
    out.finish(ctx)
}

fn mapped<'gc>(call: &Call<'gc>, map: fn(u8) -> u8) -> NativeResult<'gc> {
    let text = call.string(0)?.as_bytes();
    call.ret(generated(call.ctx, text.len(), |i| map(text[i]))?)
}

fn reverse<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let text = call.string(0)?.as_bytes();
    call.ret(generated(call.ctx, text.len(), |i| text[text.len() - 1 - i])?)
}

fn rep<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let text = call.string(0)?;
    let count = call.int(1)?;
    let separator = call.opt_string(2)?;
    let separator = separator.map_or(&[][..], |text| text.as_bytes());
    let Some(copies) = u64::try_from(count).ok().filter(|&copies| copies > 0) else {
        return call.ret(call.ctx.str("")?);
    };
    let period = text.len() as u64 + separator.len() as u64;
    if period > REP_LIMIT / copies {
        return Err(fail("resulting string too large"));
    }
    if copies == 1 {
        return call.ret(text);
    }
    if let ([byte], []) = (text.as_bytes(), separator) {
        return call.ret(generated(call.ctx, copies as usize, |_| *byte)?);
    }
    if period * copies > call.ctx.host.buffer_limit as u64 {
        return Err(Box::new(Fail::MemoryFinal));
    }
    let bytes = lstr::repeat(text.as_bytes(), count, separator).map_err(|error| match error {
        StringError::OutOfMemory => NoMemory.into(),
        error => fail(error.to_string()),
    })?;
    call.ret(call.ctx.str(bytes)?)
}
