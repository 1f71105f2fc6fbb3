//! The basic functions.

use std::io::Write;

use heap_api::Gc;

use crate::error::{Fail, NoMemory, fail, operation_failed};
use crate::function::new_native;
use crate::native::{Call, Control, Done, NativeDef, NativeResult, Raised};
use crate::number;
use crate::state::{Ctx, Event, GcParameter};
use crate::table::{SetError, Table};
use crate::value::Value;
use crate::vm::{Task, append_number};

use super::package::{load, load_slow, loadfile};
use super::string::buffer::Buffer;
use super::table::no_retry;
use super::{install, set_field};

/// `next`; the interpreter loop knows it and runs `pairs` loops without calling it.
pub static NEXT: NativeDef = NativeDef::fast("next", next);

static PAIRS: NativeDef = NativeDef::control("pairs", Control::Pairs);
static IPAIRS: NativeDef = NativeDef::fast("ipairs", ipairs);
static IPAIRS_STEP: NativeDef = NativeDef::either("ipairs_step", ipairs_step, ipairs_step_slow);

static FUNCTIONS: &[NativeDef] = &[
    NativeDef::fast("assert", assert),
    NativeDef::slow("collectgarbage", collectgarbage),
    NativeDef::control("dofile", Control::DoFile),
    NativeDef::fast("error", error),
    NativeDef::fast("getmetatable", getmetatable),
    NativeDef::either("load", load, load_slow),
    NativeDef::fast("loadfile", loadfile),
    NativeDef::control("pcall", Control::Pcall),
    NativeDef::either("print", print, print_slow),
    NativeDef::fast("rawequal", rawequal),
    NativeDef::fast("rawget", rawget),
    NativeDef::fast("rawlen", rawlen),
    NativeDef::fast("rawset", rawset),
    NativeDef::fast("select", select),
    NativeDef::fast("setmetatable", setmetatable),
    NativeDef::fast("tonumber", tonumber),
    NativeDef::either("tostring", tostring, tostring_slow),
    NativeDef::fast("type", type_of),
    NativeDef::fast("warn", warn),
    NativeDef::control("xpcall", Control::Xpcall),
];

/// Opens the library.
///
/// # Errors
///
/// If the heap has no memory for it.
pub fn open<'gc>(ctx: Ctx<'gc>) -> Result<Gc<'gc, Table<'gc>>, NoMemory> {
    let globals = ctx.state.globals;
    install(ctx, globals, FUNCTIONS)?;
    let next = Value::Native(new_native(ctx, &NEXT, &[])?);
    let step = Value::Native(new_native(ctx, &IPAIRS_STEP, &[])?);
    set_field(ctx, globals, "next", next)?;
    set_field(ctx, globals, "pairs", Value::Native(new_native(ctx, &PAIRS, &[next])?))?;
    set_field(ctx, globals, "ipairs", Value::Native(new_native(ctx, &IPAIRS, &[step])?))?;
    set_field(ctx, globals, "_VERSION", ctx.str("Lua 5.4")?)?;
    Ok(globals)
}

// ---- errors ----

fn assert<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    if call.any(0)?.is_falsy() {
        return Err(if call.count() > 1 {
            Box::new(Fail::ValueAt(call.arg(1), 1))
        } else {
            fail("assertion failed!")
        });
    }
    for i in 0..call.count() {
        call.set_result(i, call.arg(i));
    }
    Ok(Done::Results(call.count()))
}

fn error<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let level = call.opt_int(1, 1)?.clamp(0, i64::from(u32::MAX)) as u32;
    Err(Box::new(Fail::ValueAt(call.arg(0), level)))
}

fn warn<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    call.string(0)?;
    let mut message = Buffer::new(call.ctx.host);
    for i in 0..call.count() {
        message.append(call.string(i)?.as_bytes())?;
    }
    let host = call.ctx.host;
    match message.bytes() {
        b"@on" if call.count() == 1 => host.warnings.set(true),
        b"@off" if call.count() == 1 => host.warnings.set(false),
        // Other control messages are for other systems.
        [b'@', ..] if call.count() == 1 => {}
        text => host.warn(&[text]),
    }
    call.ret_none()
}

// ---- tables ----

fn next<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    match call.table(0)?.next(call.ctx, call.arg(1)) {
        Ok(Some((key, value))) => call.ret_all(&[key, value]),
        Ok(None) => call.ret(Value::Nil),
        Err(_) => Err(operation_failed("invalid key to 'next'")),
    }
}

fn ipairs<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let object = call.any(0)?;
    call.ret_all(&[call.upvalue(0), object, Value::Int(0)])
}

fn ipairs_step<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let Value::Table(table) = call.arg(0) else { return call.slow() };
    let index = call.int(1)?.wrapping_add(1);
    let value = table.get_int(call.ctx, index);
    if value.is_nil() {
        return if table.metatable().is_some() { call.slow() } else { call.ret(Value::Nil) };
    }
    call.ret_all(&[Value::Int(index), value])
}

fn ipairs_step_slow(task: &mut Task<'_>) -> Result<usize, Raised> {
    task.enter(|call| {
        call.push(call.arg(0))?;
        call.push(Value::Int(call.int(1)?.wrapping_add(1)))
    })?;
    task.index()?;
    task.enter(|call| {
        let (index, value) = (call.int(1)?.wrapping_add(1), call.pushed(0));
        if value.is_nil() {
            return Ok(call.place(&[Value::Nil]));
        }
        Ok(call.place(&[Value::Int(index), value]))
    })
}

fn rawequal<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let equal = call.any(0)?.raw_equal(call.any(1)?);
    call.ret(equal)
}

fn rawget<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let value = call.table(0)?.get(call.ctx, call.any(1)?);
    call.ret(value)
}

fn rawset<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let table = call.table(0)?;
    match table.set(call.ctx, call.any(1)?, call.any(2)?) {
        Ok(()) => call.ret(table),
        Err(SetError::NilKey) => Err(operation_failed("table index is nil")),
        Err(SetError::NanKey) => Err(operation_failed("table index is NaN")),
        Err(SetError::NoMemory) => Err(NoMemory.into()),
    }
}

fn rawlen<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    match call.arg(0) {
        Value::Table(table) => call.ret(table.length(call.ctx)),
        Value::Str(text) => call.ret(text.len() as i64),
        _ => Err(call.type_error(0, "table or string")),
    }
}

fn getmetatable<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    match call.ctx.metatable(call.any(0)?) {
        None => call.ret(Value::Nil),
        Some(metatable) => {
            let hidden = metatable.get_short(call.ctx, call.ctx.state.event_key(Event::Metatable));
            call.ret(if hidden.is_nil() { Value::Table(metatable) } else { hidden })
        }
    }
}

fn setmetatable<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let table = call.table(0)?;
    let metatable = match call.arg(1) {
        Value::Table(metatable) => Some(metatable),
        Value::Nil if call.count() > 1 => None,
        _ => return Err(call.type_error(1, "nil or table")),
    };
    if !call.ctx.metamethod(Value::Table(table), Event::Metatable).is_nil() {
        return Err(fail("cannot change a protected metatable"));
    }
    table.set_metatable(call.ctx, metatable)?;
    call.ctx.host.finalizers.register(call.ctx, Value::Table(table), metatable)?;
    call.ret(table)
}

fn select<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let available = call.count() as i64 - 1;
    if let Value::Str(text) = call.arg(0)
        && text.as_bytes() == b"#"
    {
        return call.ret(available);
    }
    let first = match call.int(0)? {
        n if n < 0 => available.saturating_add(n),
        n => n.min(available + 1) - 1,
    };
    if first < 0 {
        return Err(call.bad_argument(0, "index out of range"));
    }
    let first = first as usize + 1;
    // Results go down, so copying from the front is safe.
    for i in first..call.count() {
        call.set_result(i - first, call.arg(i));
    }
    Ok(Done::Results(call.count() - first))
}

// ---- conversions ----

fn type_of<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let ty = call.any(0)?.ty();
    call.ret(call.ctx.state.type_name(ty))
}

fn tonumber<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    if call.arg(1).is_nil() {
        let value = call.any(0)?;
        return call.ret(value.to_number().map_or(Value::Nil, Value::from));
    }
    let base = call.int(1)?;
    let Value::Str(text) = call.arg(0) else { return Err(call.type_error(0, "string")) };
    if !(2..=36).contains(&base) {
        return Err(call.bad_argument(1, "base out of range"));
    }
    call.ret(digits(text.as_bytes(), base as u32).map_or(Value::Nil, Value::Int))
}

/// An integer in a base from 2 to 36, wrapping around; spaces around it are skipped.
fn digits(text: &[u8], base: u32) -> Option<i64> {
    let start = text.iter().position(|byte| !number::is_space(*byte))?;
    let end = text.iter().rposition(|byte| !number::is_space(*byte))? + 1;
    let text = &text[start..end];
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if text.is_empty() {
        return None;
    }
    let mut value = 0_i64;
    for byte in text {
        let digit = char::from(*byte).to_digit(base)?;
        value = value.wrapping_mul(i64::from(base)).wrapping_add(i64::from(digit));
    }
    Some(if negative { value.wrapping_neg() } else { value })
}

/// Appends what `tostring` says about a value without a `__tostring` metamethod.
///
/// # Errors
///
/// If there is no memory for a long string.
pub fn append_text<'gc>(
    ctx: Ctx<'gc>,
    buffer: &mut Vec<u8>,
    value: Value<'gc>,
) -> Result<(), NoMemory> {
    let mut append = |text: &[u8]| {
        buffer.try_reserve(text.len()).map_err(|_| NoMemory)?;
        buffer.extend_from_slice(text);
        Ok(())
    };
    match value {
        Value::Nil => append(b"nil"),
        Value::True => append(b"true"),
        Value::False => append(b"false"),
        Value::Str(text) => append(text.as_bytes()),
        Value::Int(_) | Value::Float(_) => {
            append_number(buffer, value);
            Ok(())
        }
        _ => {
            let name = match ctx.metamethod(value, Event::Name) {
                Value::Str(name) => name.as_bytes(),
                _ => value.ty().name().as_bytes(),
            };
            append(name)?;
            let address = value.address().unwrap_or(0);
            append(format!(": {address:#x}").as_bytes())
        }
    }
}

/// Whether `tostring` needs no metamethod for a value.
fn is_plain<'gc>(ctx: Ctx<'gc>, value: Value<'gc>) -> bool {
    match value {
        Value::Table(table) => match table.metatable() {
            None => true,
            Some(metatable) => {
                metatable.get_short(ctx, ctx.state.event_key(Event::ToString)).is_nil()
            }
        },
        Value::UserData(_) => ctx.metamethod(value, Event::ToString).is_nil(),
        _ => true,
    }
}

fn tostring<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let value = call.any(0)?;
    if let Value::Str(_) = value {
        return call.ret(value);
    }
    if !is_plain(call.ctx, value) {
        return call.slow();
    }
    let mut buffer = call.ctx.host.scratch.borrow_mut();
    buffer.clear();
    append_text(call.ctx, &mut buffer, value)?;
    let text = call.ctx.str(&*buffer)?;
    call.ret(text)
}

fn tostring_slow(task: &mut Task<'_>) -> Result<usize, Raised> {
    task.enter(|call| call.push(call.arg(0)))?;
    task.to_string()?;
    task.enter(|call| Ok(call.place(&[call.pushed(0)])))
}

/// `print` writes a string of more bytes without a copy.
const LONG: usize = 4 << 10;

fn print<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    if !(0..call.count()).all(|i| is_plain(call.ctx, call.arg(i))) {
        return call.slow();
    }
    let mut buffer = call.ctx.host.scratch.borrow_mut();
    let mut output = call.ctx.host.output.borrow_mut();
    buffer.clear();
    // Like C's `print`, this one does not complain about a closed pipe.
    for i in 0..call.count() {
        if i > 0 {
            buffer.push(b'\t');
        }
        match call.arg(i) {
            Value::Str(text) if text.len() > LONG => {
                let _ = output.write_all(&buffer);
                let _ = output.write_all(text.as_bytes());
                buffer.clear();
            }
            value => append_text(call.ctx, &mut buffer, value).map_err(no_retry)?,
        }
    }
    buffer.push(b'\n');
    let _ = output.write_all(&buffer);
    if call.ctx.host.flushes_output.get() {
        let _ = output.flush();
    }
    call.ret_none()
}

fn print_slow(task: &mut Task<'_>) -> Result<usize, Raised> {
    for i in 0..task.count() {
        task.enter(|call| call.push(call.arg(i)))?;
        task.to_string()?;
        task.enter(|call| {
            let mut output = call.ctx.host.output.borrow_mut();
            if let Value::Str(text) = call.pop() {
                let _ = output.write_all(if i > 0 { b"\t" } else { b"" });
                let _ = output.write_all(text.as_bytes());
            }
            Ok(())
        })?;
    }
    let host = task.runner().host;
    let _ = host.output.borrow_mut().write_all(b"\n");
    if host.flushes_output.get() {
        let _ = host.output.borrow_mut().flush();
    }
    Ok(0)
}

// ---- memory ----

/// A finalizer gets nil, whatever it asks for, as in real Lua.
fn collectgarbage(task: &mut Task<'_>) -> Result<usize, Raised> {
    let (option, numbers) = task.enter(|call| {
        let text = call.opt_string(0)?.map_or_else(|| "collect".to_owned(), |text| text.to_text());
        let option = GcOption::from_name(&text)
            .ok_or_else(|| call.bad_argument(0, format!("invalid option '{text}'")))?;
        let mut numbers = [0; 3];
        for (i, number) in numbers.iter_mut().enumerate().take(option.numbers()) {
            *number = i64::from(call.opt_int(i + 1, 0)? as i32);
        }
        Ok((option, numbers))
    })?;
    let runner = task.runner();
    if runner.host.finalizers.is_running.get() {
        return task.enter(|call| Ok(call.place(&[Value::Nil])));
    }
    let mut complete = false;
    match option {
        GcOption::Collect => {
            runner.collect();
            runner.run_finalizers();
        }
        GcOption::Step => {
            // Steps of this heap are measured in time. A step of at least as many kilobytes as are
            // in use, and any step in the generational mode, is a whole collection.
            let in_use = runner.cx.heap().stats().live_bytes / 1024;
            let is_whole = runner.host.gc_generational.get() || numbers[0] >= in_use as i64;
            if is_whole {
                runner.collect();
            }
            complete = is_whole || runner.collect_step();
            runner.run_finalizers();
        }
        _ => {}
    }
    task.enter(|call| {
        let host = call.ctx.host;
        let value = match option {
            GcOption::Collect => Value::Int(0),
            GcOption::Step => Value::from(complete),
            GcOption::Count => Value::float(call.ctx.cx.live_bytes() as f64 / 1024.0),
            GcOption::IsRunning => Value::from(!host.gc_stopped.get()),
            GcOption::Stop | GcOption::Restart => {
                host.gc_stopped.set(option == GcOption::Stop);
                Value::Int(0)
            }
            GcOption::SetPause => Value::Int(host.set_gc_parameter(GcParameter::Pause, numbers[0])),
            GcOption::SetStepMul => {
                Value::Int(host.set_gc_parameter(GcParameter::StepMultiplier, numbers[0]))
            }
            GcOption::Incremental | GcOption::Generational => {
                // The mode is remembered. For this heap it matters to `"step"` only.
                let was_generational = host.gc_generational.get();
                let previous = if was_generational { "generational" } else { "incremental" };
                let previous = call.ctx.str(previous)?;
                host.gc_generational.set(option == GcOption::Generational);
                let parameters = [GcParameter::Pause, GcParameter::StepMultiplier];
                for (parameter, number) in parameters.into_iter().zip(numbers) {
                    if number != 0 && option == GcOption::Incremental {
                        host.set_gc_parameter(parameter, number);
                    }
                }
                Value::Str(previous)
            }
        };
        Ok(call.place(&[value]))
    })
}

/// What `collectgarbage` can be asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GcOption {
    Collect,
    Step,
    Count,
    IsRunning,
    Stop,
    Restart,
    SetPause,
    SetStepMul,
    Incremental,
    Generational,
}

impl GcOption {
    fn from_name(name: &str) -> Option<GcOption> {
        Some(match name {
            "collect" => GcOption::Collect,
            "step" => GcOption::Step,
            "count" => GcOption::Count,
            "isrunning" => GcOption::IsRunning,
            "stop" => GcOption::Stop,
            "restart" => GcOption::Restart,
            "setpause" => GcOption::SetPause,
            "setstepmul" => GcOption::SetStepMul,
            "incremental" => GcOption::Incremental,
            "generational" => GcOption::Generational,
            _ => return None,
        })
    }

    /// How many numbers may follow.
    fn numbers(self) -> usize {
        match self {
            GcOption::Step | GcOption::SetPause | GcOption::SetStepMul => 1,
            GcOption::Generational => 2,
            GcOption::Incremental => 3,
            _ => 0,
        }
    }
}
