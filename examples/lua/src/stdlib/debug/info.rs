//! `debug.getinfo`.

use crate::compiler::chunk_id;
use crate::error::NoMemory;
use crate::native::{Call, NativeResult};
use crate::stdlib::set_field;
use crate::table::Table;
use crate::value::Value;
use crate::vm;

use super::level::{Level, thread_argument};

use heap_api::Gc;

pub(super) fn getinfo<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let (thread, first) = thread_argument(call);
    let options = call.opt_string(first + 1)?;
    let options = options.map_or(&b"flnSrtu"[..], |options| options.as_bytes());
    if options.first() == Some(&b'>') {
        return Err(call.bad_argument(first + 1, "invalid option '>'"));
    }
    let (function, level) = match call.arg(first) {
        function @ (Value::Function(_) | Value::Native(_)) => (function, None),
        _ => match Level::from_argument(call, thread, first)? {
            Some(level) => (level.function(), Some(level)),
            None => return call.ret(Value::Nil),
        },
    };
    let ctx = call.ctx;
    let info = Table::new(ctx)?;
    for option in options {
        match option {
            b'S' => set_source(call, info, function)?,
            b'l' => {
                let frame = level.and_then(|level| Some((level, level.frame()?)));
                let line = frame.and_then(|(level, frame)| match level {
                    Level::Frame(thread, _) => vm::current_line(thread, frame),
                    Level::Running(_) | Level::Host(_) => None,
                });
                set_field(ctx, info, "currentline", line.map_or(-1, i64::from))?;
            }
            b'u' => {
                let (upvalues, params, is_vararg) = match function {
                    Value::Function(closure) => {
                        let data = &closure.as_ref().header.proto.as_ref().data.0;
                        (closure.tail.len() as i64, i64::from(data.num_params), data.is_vararg)
                    }
                    Value::Native(native) => (native.tail.len() as i64, 0, true),
                    _ => (0, 0, true),
                };
                set_field(ctx, info, "nups", upvalues)?;
                set_field(ctx, info, "nparams", params)?;
                set_field(ctx, info, "isvararg", is_vararg)?;
            }
            b'n' => {
                let (kind, name) = match level.and_then(|level| level.name(call)) {
                    Some((kind, name)) => (kind, Value::Str(ctx.str(name)?)),
                    None => (String::new(), Value::Nil),
                };
                set_field(ctx, info, "name", name)?;
                set_field(ctx, info, "namewhat", ctx.str(kind)?)?;
            }
            b'r' => {
                // Only hooks see arguments and results on their way.
                let transfer = level.and_then(Level::transfer);
                let (first, count) = transfer.map_or((0, 0), |values| (values.first, values.count));
                set_field(ctx, info, "ftransfer", i64::from(first))?;
                set_field(ctx, info, "ntransfer", i64::from(count))?;
            }
            b't' => {
                let frame = level.and_then(Level::frame);
                let is_tail_call = frame.is_some_and(|frame| frame.is_tail_call());
                set_field(ctx, info, "istailcall", is_tail_call)?;
            }
            b'L' => set_lines(call, info, function)?,
            b'f' => set_field(ctx, info, "func", function)?,
            _ => return Err(call.bad_argument(first + 1, "invalid option")),
        }
    }
    call.ret(info)
}

/// Where the function is from.
fn set_source<'gc>(
    call: &Call<'gc>,
    info: Gc<'gc, Table<'gc>>,
    function: Value<'gc>,
) -> Result<(), NoMemory> {
    let ctx = call.ctx;
    let Value::Function(closure) = function else {
        set_field(ctx, info, "what", ctx.str("C")?)?;
        set_field(ctx, info, "source", ctx.str("=[C]")?)?;
        set_field(ctx, info, "short_src", ctx.str("[C]")?)?;
        set_field(ctx, info, "linedefined", -1_i64)?;
        return set_field(ctx, info, "lastlinedefined", -1_i64);
    };
    let data = &closure.as_ref().header.proto.as_ref().data.0;
    let what = if data.line_defined == 0 { "main" } else { "Lua" };
    set_field(ctx, info, "what", ctx.str(what)?)?;
    set_field(ctx, info, "source", ctx.str(data.source.as_bytes())?)?;
    set_field(ctx, info, "short_src", ctx.str(chunk_id(&data.source))?)?;
    set_field(ctx, info, "linedefined", i64::from(data.line_defined))?;
    set_field(ctx, info, "lastlinedefined", i64::from(data.last_line))
}

/// The lines that the function has instructions for.
fn set_lines<'gc>(
    call: &Call<'gc>,
    info: Gc<'gc, Table<'gc>>,
    function: Value<'gc>,
) -> Result<(), NoMemory> {
    let Value::Function(closure) = function else { return Ok(()) };
    let data = &closure.as_ref().header.proto.as_ref().data.0;
    let lines = Table::new(call.ctx)?;
    // The first instruction of a vararg function comes from no line of its source.
    for line in data.line_info.iter().skip(usize::from(data.is_vararg)) {
        lines.set_int(call.ctx, i64::from(*line), Value::True)?;
    }
    set_field(call.ctx, info, "activelines", lines)
}
