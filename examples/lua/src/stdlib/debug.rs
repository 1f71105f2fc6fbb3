//! The part of the `debug` library that only looks: `traceback`, `getinfo`, metatables.

use heap_api::Gc;

use crate::compiler::chunk_id;
use crate::error::NoMemory;
use crate::native::{Call, NativeDef, NativeResult};
use crate::state::Ctx;
use crate::table::Table;
use crate::value::Value;
use crate::vm::{self, traceback as describe};

use super::string::buffer::Buffer;
use super::{install, set_field};

static FUNCTIONS: &[NativeDef] = &[
    NativeDef::fast("getinfo", getinfo),
    NativeDef::fast("getmetatable", getmetatable),
    NativeDef::fast("setmetatable", setmetatable),
    NativeDef::fast("traceback", traceback),
];

/// Opens the library.
///
/// # Errors
///
/// If the heap has no memory for it.
pub fn open<'gc>(ctx: Ctx<'gc>) -> Result<Gc<'gc, Table<'gc>>, NoMemory> {
    let table = Table::with_capacity(ctx, 0, FUNCTIONS.len())?;
    install(ctx, table, FUNCTIONS)?;
    Ok(table)
}

fn traceback<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let (thread, first) = match call.arg(0) {
        Value::Thread(thread) => (thread, 1),
        _ => (call.thread, 0),
    };
    let message = call.arg(first);
    if !matches!(message, Value::Nil | Value::Str(_) | Value::Int(_) | Value::Float(_)) {
        return call.ret(message);
    }
    let is_own = thread.ptr_eq(call.thread);
    // A C `int`, as in real Lua.
    let level = call.opt_int(first + 1, i64::from(is_own))? as i32;
    let running = call.frameless().filter(|_| is_own);
    let mut text = Buffer::new(call.ctx.host);
    if !message.is_nil() {
        text.append(call.string(first)?.as_bytes())?;
        text.append(b"\n")?;
    }
    text.append(describe(call.ctx, thread, running, level).as_bytes())?;
    call.ret(text.finish(call.ctx)?)
}

fn getinfo<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let ctx = call.ctx;
    let (function, line) = match call.arg(0) {
        function @ (Value::Function(_) | Value::Native(_)) => (function, None),
        _ => {
            // A C `int`, as in real Lua. Level 0 is `getinfo` itself.
            let level = i64::from(call.int(0)? as i32);
            match call.frameless() {
                Some(function) if level == 0 => (function, None),
                frameless => {
                    let level = usize::try_from(level - i64::from(frameless.is_some())).ok();
                    let mut frames = vm::function_frames(call.thread);
                    let Some(frame) = level.and_then(|level| frames.nth(level)) else {
                        return call.ret(Value::Nil);
                    };
                    let function = call.thread.slot(frame.func.get() as usize).get();
                    (function, vm::current_line(call.thread, frame))
                }
            }
        }
    };
    let info = Table::new(ctx)?;
    set_field(ctx, info, "func", function)?;
    set_field(ctx, info, "currentline", line.map_or(-1, i64::from))?;
    if let Value::Function(closure) = function {
        let data = &closure.as_ref().header.proto.as_ref().data.0;
        let what = if data.line_defined == 0 { "main" } else { "Lua" };
        set_field(ctx, info, "what", ctx.str(what)?)?;
        set_field(ctx, info, "source", ctx.str(data.source.as_bytes())?)?;
        set_field(ctx, info, "short_src", ctx.str(chunk_id(&data.source))?)?;
        set_field(ctx, info, "linedefined", i64::from(data.line_defined))?;
        set_field(ctx, info, "lastlinedefined", i64::from(data.last_line))?;
        set_field(ctx, info, "nups", closure.tail.len() as i64)?;
        set_field(ctx, info, "nparams", i64::from(data.num_params))?;
        set_field(ctx, info, "isvararg", data.is_vararg)?;
    } else {
        set_field(ctx, info, "what", ctx.str("C")?)?;
        set_field(ctx, info, "source", ctx.str("=[C]")?)?;
        set_field(ctx, info, "short_src", ctx.str("[C]")?)?;
        set_field(ctx, info, "linedefined", -1_i64)?;
        set_field(ctx, info, "lastlinedefined", -1_i64)?;
        set_field(ctx, info, "isvararg", true)?;
    }
    call.ret(info)
}

fn getmetatable<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let metatable = call.ctx.metatable(call.any(0)?);
    call.ret(metatable.map_or(Value::Nil, Value::Table))
}

fn setmetatable<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let metatable = match call.arg(1) {
        Value::Nil => None,
        Value::Table(metatable) => Some(metatable),
        _ => return Err(call.type_error(1, "nil or table")),
    };
    let value = call.arg(0);
    match value {
        Value::Table(table) => table.set_metatable(call.ctx, metatable),
        Value::UserData(data) => data.metatable.set(call.ctx.cx, metatable),
        other => call.ctx.state.set_type_metatable(call.ctx.cx, other.ty(), metatable),
    }
    call.ret(value)
}
