//! Reading by format: `read` and `lines`.

use std::io::{self, Write};

use super::stream::{Cursor, Device, LineEnd, Stream};
use super::{FileHandle, close_stream, error_text, ret_error, with_stream};
use crate::error::{Fail, Failure, fail};
use crate::function::new_native;
use crate::native::{Call, Done, NativeDef, NativeResult};
use crate::number::Number;
use crate::stdlib::table::reserve_results;
use crate::value::Value;

/// Most formats that `lines` keeps for its iterator.
const MAX_FORMATS: usize = 250;

/// What to read.
#[derive(Clone, Copy, Debug)]
enum Format {
    Line(LineEnd),
    Number,
    All,
    Bytes(usize),
}

impl Format {
    /// The format that `value`, argument `argument` of the call, stands for.
    fn from_value<'gc>(
        call: &Call<'gc>,
        value: Value<'gc>,
        argument: usize,
    ) -> Result<Format, Failure<'gc>> {
        let text = match value {
            Value::Int(count) => return Ok(Format::Bytes(count as usize)),
            Value::Float(_) => {
                let count = value.to_integer().ok_or_else(|| {
                    call.bad_argument(argument, "number has no integer representation")
                })?;
                return Ok(Format::Bytes(count as usize));
            }
            Value::Str(text) => text.as_bytes(),
            _ => {
                let got = call.type_name(value);
                return Err(call.bad_argument(argument, format!("string expected, got {got}")));
            }
        };
        let letter = text.strip_prefix(b"*").unwrap_or(text).first();
        match letter {
            Some(b'l') => Ok(Format::Line(LineEnd::Dropped)),
            Some(b'L') => Ok(Format::Line(LineEnd::Kept)),
            Some(b'n') => Ok(Format::Number),
            Some(b'a') => Ok(Format::All),
            _ => Err(call.bad_argument(argument, "invalid format")),
        }
    }
}

/// Why reading stopped.
enum Stop<'gc> {
    Device(io::Error),
    Failed(Failure<'gc>),
}

impl From<io::Error> for Stop<'_> {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::OutOfMemory => Stop::Failed(Box::new(Fail::MemoryFinal)),
            _ => Stop::Device(error),
        }
    }
}

/// Reads one value; nil if there is none.
fn read_value<'gc>(
    call: &Call<'gc>,
    cursor: &mut Cursor<'_>,
    format: Format,
) -> Result<Value<'gc>, Stop<'gc>> {
    let limit = call.ctx.host.buffer_limit;
    let range = match format {
        Format::Line(end) => cursor.line(end, limit)?,
        Format::All => Some(cursor.all(limit)?),
        Format::Bytes(0) => {
            if cursor.at_end()? {
                None
            } else {
                Some(cursor.position()..cursor.position())
            }
        }
        Format::Bytes(count) => cursor.some(count, limit)?,
        Format::Number => {
            return Ok(match cursor.number()? {
                Some(Number::Int(i)) => Value::Int(i),
                Some(Number::Float(f)) => Value::float(f),
                None => Value::Nil,
            });
        }
    };
    let Some(range) = range else { return Ok(Value::Nil) };
    let text = call.ctx.str(cursor.bytes(range)).map_err(|error| Stop::Failed(error.into()))?;
    Ok(Value::Str(text))
}

/// Reads a value for each of `count` formats, up to the first that is not there.
fn read_values<'gc>(
    call: &Call<'gc>,
    stream: &mut Stream,
    count: usize,
    format: impl Fn(usize) -> Result<Format, Failure<'gc>>,
) -> Result<Vec<Value<'gc>>, Stop<'gc>> {
    if matches!(stream.device, Device::Stdin) {
        // A prompt should be visible before its answer is awaited.
        let _ = call.ctx.host.output.borrow_mut().flush();
    }
    if count > 0 {
        // A wrong format is reported first, even if the stream cannot be read at all.
        format(0).map_err(Stop::Failed)?;
    }
    let mut values = Vec::with_capacity(count.max(1));
    let mut cursor = stream.begin()?;
    let mut result = Ok(());
    for i in 0..count.max(1) {
        let read = if count == 0 { Ok(Format::Line(LineEnd::Dropped)) } else { format(i) };
        let read = read.map_err(Stop::Failed);
        match read.and_then(|format| read_value(call, &mut cursor, format)) {
            Ok(value) => {
                values.push(value);
                if value.is_nil() {
                    break;
                }
            }
            Err(stop) => {
                result = Err(stop);
                break;
            }
        }
    }
    // What has been read stays read, unless the call will be repeated after a collection.
    let position = cursor.position();
    if !matches!(&result, Err(Stop::Failed(failure)) if matches!(**failure, Fail::Memory)) {
        stream.commit(position);
    }
    result.map(|()| values)
}

fn ret_values<'gc>(call: &Call<'gc>, values: &[Value<'gc>]) -> NativeResult<'gc> {
    for (i, value) in values.iter().enumerate() {
        call.set_result(i, *value);
    }
    Ok(Done::Results(values.len()))
}

/// Reads by the formats that are the arguments from `first` on.
pub(super) fn read_arguments<'gc>(
    call: &Call<'gc>,
    file: FileHandle<'gc>,
    first: usize,
) -> NativeResult<'gc> {
    let count = call.count().saturating_sub(first);
    let format = |i| Format::from_value(call, call.arg(first + i), first + i);
    let read = with_stream(call.ctx, file, |stream| match stream {
        Some(stream) => read_values(call, stream, count, format),
        None => Err(Stop::Failed(fail("attempt to use a closed file"))),
    });
    match read {
        Ok(values) => ret_values(call, &values),
        Err(Stop::Device(error)) => ret_error(call, None, &error),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}

/// The iterator that `lines` returns. Its upvalues: the file, whether to close it at the end, how
/// many formats there are, and the formats.
static NEXT_LINE: NativeDef = NativeDef::fast("lines_iterator", next_line);

/// Makes an iterator over a file, with the arguments after the first as formats.
pub(super) fn lines_iterator<'gc>(
    call: &Call<'gc>,
    file: FileHandle<'gc>,
    close_at_end: Value<'gc>,
) -> Result<Value<'gc>, Failure<'gc>> {
    let formats = call.count().saturating_sub(1);
    if formats > MAX_FORMATS {
        return Err(call.bad_argument(MAX_FORMATS + 1, "too many arguments"));
    }
    let mut upvalues = vec![file.value(), close_at_end, Value::Int(formats as i64)];
    upvalues.extend((1..=formats).map(|i| call.arg(i)));
    Ok(Value::Native(new_native(call.ctx, &NEXT_LINE, &upvalues)?))
}

fn next_line<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let (Some(file), Value::Int(count)) = (FileHandle::of(call.upvalue(0)), call.upvalue(2)) else {
        unreachable!("lines gives its iterator these upvalues")
    };
    if file.lock().is_none() {
        return Err(fail("file is already closed"));
    }
    // As if the formats were arguments after the file.
    let format = |i| Format::from_value(call, call.upvalue(3 + i), 1 + i);
    let count = count as usize;
    reserve_results(call, count, "too many results")?;
    let read = with_stream(call.ctx, file, |stream| match stream {
        Some(stream) => read_values(call, stream, count, format),
        None => Ok(Vec::new()),
    });
    let values = match read {
        Ok(values) => values,
        Err(Stop::Device(error)) => return Err(fail(error_text(&error))),
        Err(Stop::Failed(failure)) => return Err(failure),
    };
    if !values.first().is_some_and(|value| value.is_nil()) {
        return ret_values(call, &values);
    }
    if !call.upvalue(1).is_falsy() {
        close_stream(call.ctx, file).map_err(|error| fail(error_text(&error)))?;
    }
    call.ret_none()
}
