//! `string.pack`, `string.unpack` and `string.packsize`: arguments and results for
//! [`crate::lstr::pack`].

use std::borrow::Cow;

use super::buffer::Buffer;
use crate::error::{Fail, Failure, fail};
use crate::lstr::pack::{self as packing, Blame, PackError, PackValue, Want};
use crate::lstr::{NoRoom, range_start};
use crate::native::{Call, Done, NativeResult};
use crate::stdlib::table::reserve_results;
use crate::thread::STACK_LIMIT;
use crate::value::Value;

/// Why packing stopped: because of the format or a value, or because of an argument's type.
enum Stop<'gc> {
    Packing(PackError),
    Failed(Failure<'gc>),
}

impl From<NoRoom> for Stop<'_> {
    fn from(error: NoRoom) -> Self {
        Stop::Failed(error.into())
    }
}

impl From<PackError> for Stop<'_> {
    fn from(error: PackError) -> Self {
        Stop::Packing(error)
    }
}

impl<'gc> Stop<'gc> {
    /// The failure; `value` is the argument that an error about a value is about.
    #[cold]
    fn into_failure(self, call: &Call<'gc>, value: usize) -> Failure<'gc> {
        let error = match self {
            Stop::Packing(error) => error,
            Stop::Failed(failure) => return failure,
        };
        if let PackError::InvalidOption(option) = error {
            // The option is shown as the byte that it is.
            let message = [b"invalid format option '", &[option][..], b"'"].concat();
            return Box::new(Fail::Bytes(message));
        }
        let argument = match error.blame() {
            Blame::Nothing => return fail(error.to_string()),
            Blame::Format => 0,
            Blame::Value => value,
            Blame::Position => 2,
        };
        call.bad_argument(argument, error.to_string())
    }
}

pub(super) fn pack<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let format = call.string(0)?.as_bytes();
    let mut out = Buffer::new(call.ctx.host);
    let mut last = 0;
    let packed = packing::pack(format, &mut out, |want| {
        last += 1;
        if last >= call.count() {
            let expected = if want == Want::Str { "string" } else { "number" };
            let message = format!("{expected} expected, got nil");
            return Err(Stop::Failed(call.bad_argument(last, message)));
        }
        let value = match want {
            Want::Int => call.int(last).map(PackValue::Int),
            Want::Float => call.float(last).map(PackValue::Float),
            Want::Str => {
                call.string(last).map(|text| PackValue::Str(Cow::Borrowed(text.as_bytes())))
            }
        };
        value.map_err(Stop::Failed)
    });
    packed.map_err(|stop| stop.into_failure(call, last))?;
    call.ret(out.finish(call.ctx)?)
}

pub(super) fn packsize<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let size = packing::pack_size(call.string(0)?.as_bytes());
    call.ret(size.map_err(|error| Stop::Packing(error).into_failure(call, 0))? as i64)
}

const TOO_MANY_RESULTS: &str = "stack overflow (too many results)";

pub(super) fn unpack<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let format = call.string(0)?.as_bytes();
    let data = call.string(1)?.as_bytes();
    let start = range_start(call.opt_int(2, 1)?, data.len());
    let mut values = Vec::new();
    let unpacked = packing::unpack(format, data, start, |value| {
        if values.len() >= STACK_LIMIT {
            return Err(Stop::Failed(fail(TOO_MANY_RESULTS)));
        }
        values.push(match value {
            PackValue::Int(i) => Value::Int(i),
            PackValue::Float(f) => Value::float(f),
            PackValue::Str(bytes) => {
                Value::Str(call.ctx.str(bytes).map_err(|error| Stop::Failed(error.into()))?)
            }
        });
        Ok(())
    });
    let end = unpacked.map_err(|stop: Stop<'gc>| stop.into_failure(call, 1))?;
    values.push(Value::Int(end as i64 + 1));
    reserve_results(call, values.len(), TOO_MANY_RESULTS)?;
    for (i, value) in values.iter().enumerate() {
        call.set_result(i, *value);
    }
    Ok(Done::Results(values.len()))
}
