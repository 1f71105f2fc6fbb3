//! The `debug` library: what is on the stack and in functions, metatables, hooks.

mod hooks;
mod info;
mod interact;
mod level;
mod variables;

use heap_api::Gc;

use crate::error::NoMemory;
use crate::function::new_native;
use crate::native::{Call, NativeDef, NativeResult};
use crate::state::Ctx;
use crate::table::Table;
use crate::value::Value;
use crate::vm::traceback as describe;

use super::install;
use super::string::buffer::Buffer;
use hooks::{gethook, sethook};
use info::getinfo;
use interact::interact;
use level::thread_argument;
use variables::{getlocal, getupvalue, setlocal, setupvalue, upvalueid, upvaluejoin};

static FUNCTIONS: &[NativeDef] = &[
    NativeDef::fast("gethook", gethook),
    NativeDef::fast("getinfo", getinfo),
    NativeDef::fast("getlocal", getlocal),
    NativeDef::fast("getmetatable", getmetatable),
    NativeDef::fast("getregistry", |call| call.ret(call.ctx.state.registry)),
    NativeDef::fast("getupvalue", getupvalue),
    NativeDef::fast("getuservalue", getuservalue),
    NativeDef::fast("setcstacklimit", setcstacklimit),
    NativeDef::slow("sethook", sethook),
    NativeDef::fast("setlocal", setlocal),
    NativeDef::fast("setmetatable", setmetatable),
    NativeDef::fast("setupvalue", setupvalue),
    NativeDef::fast("setuservalue", setuservalue),
    NativeDef::fast("traceback", traceback),
    NativeDef::fast("upvalueid", upvalueid),
    NativeDef::fast("upvaluejoin", upvaluejoin),
];

/// Reads commands from the standard input.
static INTERACT: NativeDef = NativeDef::slow("debug", interact);

/// Opens the library. `input`: the file that stands for the standard input, if there is one.
///
/// # Errors
///
/// If the heap has no memory for it.
pub fn open<'gc>(ctx: Ctx<'gc>, input: Value<'gc>) -> Result<Gc<'gc, Table<'gc>>, NoMemory> {
    let table = Table::with_capacity(ctx, 0, FUNCTIONS.len() + 1)?;
    install(ctx, table, FUNCTIONS)?;
    let interact = Value::Native(new_native(ctx, &INTERACT, &[input])?);
    table.set_str(ctx, ctx.str(INTERACT.name)?, interact)?;
    Ok(table)
}

fn traceback<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let (thread, first) = thread_argument(call);
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
        Value::Table(table) => table.set_metatable(call.ctx, metatable)?,
        Value::UserData(data) => data.metatable.set(call.ctx.cx, metatable),
        other => call.ctx.state.set_type_metatable(call.ctx.cx, other.ty(), metatable),
    }
    call.ctx.host.finalizers.register(call.ctx, value, metatable)?;
    call.ret(value)
}

/// Userdata, of files and of the host's objects, have no user values.
fn getuservalue<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    call.opt_int(1, 1)?;
    call.ret(Value::Nil)
}

fn setuservalue<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    call.opt_int(2, 1)?;
    match call.arg(0) {
        Value::UserData(_) => {}
        _ => return Err(call.type_error(0, "userdata")),
    }
    call.any(1)?;
    call.ret(Value::Nil)
}

/// The limit cannot be changed, as in real Lua since 5.4.3.
fn setcstacklimit<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    call.int(0)?;
    call.ret(200_i64)
}
