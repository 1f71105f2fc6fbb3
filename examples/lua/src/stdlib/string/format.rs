//! `string.format`: arguments for the writers in [`crate::lstr::format`](mod@crate::lstr::format).

use super::buffer::Buffer;
use crate::error::{Failure, Raised, fail};
use crate::lstr::NoRoom;
use crate::lstr::format::{self as writers, Conversion, Directive, Directives, FormatError, Spec};
use crate::native::{Call, NativeResult};
use crate::state::Event;
use crate::string::Str;
use crate::value::Value;
use crate::vm::{Task, append_number};

/// Appends what `tostring` says of a value that has no `__tostring`.
fn append_text<'gc>(
    out: &mut Buffer<'_>,
    call: &Call<'gc>,
    value: Value<'gc>,
) -> Result<(), Failure<'gc>> {
    match value {
        Value::Nil => out.append(b"nil")?,
        Value::True => out.append(b"true")?,
        Value::False => out.append(b"false")?,
        Value::Str(text) => out.append(text.as_bytes())?,
        Value::Int(_) | Value::Float(_) => append_number(out.room(writers::ITEM_MAX)?, value),
        _ => {
            out.append(call.type_name(value).as_bytes())?;
            out.append(b": ")?;
            let spec = Spec::plain(Conversion::Pointer);
            writers::push_pointer(out.room(writers::ITEM_MAX)?, &spec, value.address());
        }
    }
    Ok(())
}

/// Whether `tostring` of the value has to call Lua.
fn has_tostring<'gc>(call: &Call<'gc>, value: Value<'gc>) -> bool {
    match value {
        Value::Str(_) | Value::Int(_) => false,
        _ => !call.ctx.metamethod(value, Event::ToString).is_nil(),
    }
}

#[cold]
fn format_error<'gc>(call: &Call<'gc>, argument: usize, error: FormatError) -> Failure<'gc> {
    if argument >= call.count() {
        return call.bad_argument(argument, "no value");
    }
    // The reference implementation looks at the value before the flags of its specification.
    let value = match &error {
        FormatError::StringContainsZeros => Err(string_contains_zeros(call, argument)),
        FormatError::InvalidSpecification(shown) => check_value(call, argument, shown),
        _ => Ok(()),
    };
    value.err().unwrap_or_else(|| fail(error.to_string()))
}

#[cold]
fn string_contains_zeros<'gc>(call: &Call<'gc>, argument: usize) -> Failure<'gc> {
    call.bad_argument(argument, FormatError::StringContainsZeros.to_string())
}

/// Whether the value suits the last letter of a specification.
fn check_value<'gc>(call: &Call<'gc>, argument: usize, shown: &str) -> Result<(), Failure<'gc>> {
    match (shown.as_bytes().last(), call.arg(argument)) {
        (Some(b'd' | b'i' | b'o' | b'u' | b'x' | b'X'), _) => call.int(argument).map(|_| ()),
        (Some(b'e' | b'E' | b'f' | b'g' | b'G'), _) => call.float(argument).map(|_| ()),
        (Some(b's'), Value::Str(text)) if text.as_bytes().contains(&0) => {
            Err(string_contains_zeros(call, argument))
        }
        _ => Ok(()),
    }
}

/// The outcome of formatting.
enum Formatted<'gc> {
    Text(Str<'gc>),
    /// This argument has a `__tostring`, to be called first.
    NeedsText(usize),
}

fn formatted<'gc>(call: &Call<'gc>) -> Result<Formatted<'gc>, Failure<'gc>> {
    let format = call.string(0)?.as_bytes();
    let mut out = Buffer::new(call.ctx.host);
    let mut argument = 0;
    for directive in Directives::new(format) {
        let spec = match directive {
            Ok(Directive::Literal(bytes)) => {
                out.append(bytes)?;
                continue;
            }
            Ok(Directive::Spec(spec)) => spec,
            Err(error) => return Err(format_error(call, argument + 1, error)),
        };
        argument += 1;
        if argument >= call.count() {
            return Err(call.bad_argument(argument, "no value"));
        }
        match spec.conversion {
            Conversion::Signed if spec == Spec::plain(Conversion::Signed) => {
                writers::push_decimal(out.room(writers::DECIMAL_MAX)?, call.int(argument)?);
            }
            Conversion::Signed | Conversion::Unsigned | Conversion::Octal | Conversion::Hex(_) => {
                writers::push_integer(out.room(writers::ITEM_MAX)?, &spec, call.int(argument)?);
            }
            Conversion::Char => {
                writers::push_char(out.room(writers::ITEM_MAX)?, &spec, call.int(argument)?);
            }
            Conversion::Fixed
            | Conversion::Exponent(_)
            | Conversion::General(_)
            | Conversion::HexFloat(_) => {
                writers::push_float(out.room(writers::ITEM_MAX)?, &spec, call.float(argument)?);
            }
            Conversion::Pointer => {
                let address = call.arg(argument).address();
                writers::push_pointer(out.room(writers::ITEM_MAX)?, &spec, address);
            }
            Conversion::Quoted => push_quoted(&mut out, call, argument)?,
            Conversion::String => {
                let value = call.arg(argument);
                if has_tostring(call, value) {
                    return Ok(Formatted::NeedsText(argument));
                }
                push_text(&mut out, call, &spec, argument)?;
            }
        }
    }
    Ok(Formatted::Text(out.finish(call.ctx)?))
}

fn push_text<'gc>(
    out: &mut Buffer<'_>,
    call: &Call<'gc>,
    spec: &Spec,
    argument: usize,
) -> Result<(), Failure<'gc>> {
    let value = call.arg(argument);
    if *spec == Spec::plain(Conversion::String) {
        return append_text(out, call, value);
    }
    let mut push = |text: &[u8]| {
        let out = out.room(text.len() + writers::ITEM_MAX)?;
        Ok::<_, NoRoom>(writers::push_string(out, spec, text))
    };
    let pushed = match value {
        Value::Str(text) => push(text.as_bytes()),
        _ => {
            let mut text = Buffer::new(call.ctx.host);
            append_text(&mut text, call, value)?;
            push(text.bytes())
        }
    }?;
    pushed.map_err(|error| format_error(call, argument, error))
}

fn push_quoted<'gc>(
    out: &mut Buffer<'_>,
    call: &Call<'gc>,
    argument: usize,
) -> Result<(), Failure<'gc>> {
    match call.arg(argument) {
        Value::Str(text) => {
            let text = text.as_bytes();
            writers::push_quoted_string(out.room(writers::quoted_length(text))?, text);
        }
        Value::Int(i) => writers::push_quoted_integer(out.room(writers::ITEM_MAX)?, i),
        Value::Float(f) => writers::push_quoted_float(out.room(writers::ITEM_MAX)?, f.get()),
        value @ (Value::Nil | Value::False | Value::True) => append_text(out, call, value)?,
        _ => return Err(call.bad_argument(argument, "value has no literal form")),
    }
    Ok(())
}

pub(super) fn format<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    match formatted(call)? {
        Formatted::Text(text) => call.ret(text),
        Formatted::NeedsText(_) => call.slow(),
    }
}

/// Replaces arguments that have a `__tostring` by what it returns until there are none left.
pub(super) fn format_slow(task: &mut Task<'_>) -> Result<usize, Raised> {
    loop {
        let step = task.enter(|call| match formatted(call)? {
            Formatted::Text(text) => Ok(Err(call.place(&[Value::Str(text)]))),
            Formatted::NeedsText(argument) => {
                let value = call.arg(argument);
                call.push(call.ctx.metamethod(value, Event::ToString))?;
                call.push(value)?;
                Ok(Ok(argument))
            }
        })?;
        let argument = match step {
            Ok(argument) => argument,
            Err(results) => return Ok(results),
        };
        task.call_for(1, 1)?;
        task.enter(|call| {
            let text = call.pushed(0);
            if !matches!(text, Value::Str(_) | Value::Int(_) | Value::Float(_)) {
                return Err(fail("'__tostring' must return a string"));
            }
            call.pop();
            call.set_arg(argument, text);
            Ok(())
        })?;
    }
}
