//! The `os` library.
//!
//! Called by the interpreter only, through [`open`]. Calendar arithmetic is in [`crate::ldate`].

use std::fs;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use cpu_time::ProcessTime;
use heap_api::Gc;

use super::install;
use super::io::{create_temporary, option, path, ret_error, ret_status, ret_success, shell};
use super::string::buffer::Buffer;
use crate::error::{Fail, Failure, NoMemory, Raised, fail};
use crate::ldate::{self, Calendar, DateError, DaylightSaving, FieldValue, Fields, Zone};
use crate::lstr::NoRoom;
use crate::native::{Call, NativeDef, NativeResult};
use crate::state::Ctx;
use crate::table::Table;
use crate::timezone::Offset;
use crate::value::Value;
use crate::vm::{Indexed, Runner, Task, index};

static FUNCTIONS: &[NativeDef] = &[
    NativeDef::fast("clock", clock),
    NativeDef::fast("date", date),
    NativeDef::fast("difftime", difftime),
    NativeDef::fast("execute", execute),
    NativeDef::either("exit", exit, exit_slow),
    NativeDef::fast("getenv", getenv),
    NativeDef::fast("remove", remove),
    NativeDef::fast("rename", rename),
    NativeDef::fast("setlocale", setlocale),
    NativeDef::fast("time", time),
    NativeDef::fast("tmpname", tmpname),
];

/// Makes the library's table.
///
/// # Errors
///
/// If the heap has no memory for it.
pub fn open<'gc>(ctx: Ctx<'gc>) -> Result<Gc<'gc, Table<'gc>>, NoMemory> {
    let library = Table::new(ctx)?;
    install(ctx, library, FUNCTIONS)?;
    Ok(library)
}

// ---- time ----

/// The processor time that the whole process has used, its helper threads included.
fn clock<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    match ProcessTime::try_now() {
        Ok(time) => call.ret(time.as_duration().as_secs_f64()),
        Err(_) => Err(fail("the processor time is not available")),
    }
}

fn now() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs() as i64,
        Err(before) => -(before.duration().as_secs() as i64),
    }
}

/// An error of the calendar or of the call.
enum Stop<'gc> {
    Date(DateError),
    Failed(Failure<'gc>),
}

impl From<DateError> for Stop<'_> {
    fn from(error: DateError) -> Self {
        Stop::Date(error)
    }
}

impl From<NoRoom> for Stop<'_> {
    fn from(error: NoRoom) -> Self {
        Stop::Failed(error.into())
    }
}

impl<'gc> Stop<'gc> {
    #[cold]
    fn into_failure(self, call: &Call<'gc>) -> Failure<'gc> {
        match self {
            Stop::Date(error @ DateError::InvalidSpecifier(_)) => {
                call.bad_argument(0, error.to_string())
            }
            Stop::Date(error) => fail(error.to_string()),
            Stop::Failed(failure) => failure,
        }
    }
}

/// The fields of a table that describes `calendar`.
///
/// `isdst` comes first: a call that finds no memory runs again, and must not shift the time twice.
fn set_fields<'gc>(
    ctx: Ctx<'gc>,
    table: Gc<'gc, Table<'gc>>,
    calendar: &Calendar,
    is_dst: bool,
) -> Result<(), NoMemory> {
    table.set_str(ctx, ctx.str("isdst")?, Value::from(is_dst))?;
    let fields = [
        ("year", calendar.year),
        ("month", i64::from(calendar.month)),
        ("day", i64::from(calendar.day)),
        ("hour", i64::from(calendar.hour)),
        ("min", i64::from(calendar.minute)),
        ("sec", i64::from(calendar.second)),
        ("yday", i64::from(calendar.yearday)),
        ("wday", i64::from(calendar.weekday)),
    ];
    for (name, value) in fields {
        table.set_str(ctx, ctx.str(name)?, Value::Int(value))?;
    }
    Ok(())
}

fn date<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let format = call.opt_string(0)?.map_or(&b"%c"[..], |format| format.as_bytes());
    let time = if call.arg(1).is_nil() { now() } else { call.int(1)? };
    let (zone, format) = ldate::split_zone(format);
    let zone = match zone {
        Zone::Utc => Offset::utc(),
        Zone::Local => Offset::local(time),
    };
    let calendar = Calendar::from_time(time.saturating_add(zone.seconds))
        .map_err(|error| Stop::Date(error).into_failure(call))?;
    if format == b"*t" {
        let table = Table::with_capacity(call.ctx, 0, 9)?;
        set_fields(call.ctx, table, &calendar, zone.is_dst)?;
        return call.ret(table);
    }
    let mut text = Buffer::new(call.ctx.host);
    ldate::format_date(&mut text, format, &calendar, &zone)
        .map_err(|stop: Stop<'gc>| stop.into_failure(call))?;
    call.ret(text.finish(call.ctx)?)
}

/// A field of the table given to `os.time`. `__index` may lead to other tables, but functions there
/// are not called.
fn field<'gc>(
    call: &Call<'gc>,
    table: Gc<'gc, Table<'gc>>,
    name: &str,
) -> Result<Value<'gc>, Failure<'gc>> {
    let key = Value::Str(call.ctx.str(name)?);
    match index(call.ctx, Value::Table(table), key)? {
        Indexed::Done(value) => Ok(value),
        Indexed::Call { .. } | Indexed::NotIndexable { .. } => Ok(Value::Nil),
    }
}

fn time<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    if call.arg(0).is_nil() {
        return call.ret(now());
    }
    let table = call.table(0)?;
    let fields = Fields::read(|name| {
        let value = field(call, table, name).map_err(Stop::Failed)?;
        Ok(match (value, value.to_integer()) {
            (Value::Nil, _) => FieldValue::Absent,
            (_, Some(integer)) => FieldValue::Integer(integer),
            (_, None) => FieldValue::Other,
        })
    });
    let fields = fields.map_err(|stop: Stop<'gc>| stop.into_failure(call))?;
    let daylight_saving = match field(call, table, "isdst")? {
        Value::Nil => DaylightSaving::Unknown,
        Value::False => DaylightSaving::NotInEffect,
        _ => DaylightSaving::InEffect,
    };
    let (time, calendar) = fields
        .to_time(daylight_saving, Offset::local)
        .map_err(|error| Stop::Date(error).into_failure(call))?;
    set_fields(call.ctx, table, &calendar, Offset::local(time).is_dst)?;
    call.ret(time)
}

fn difftime<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    call.ret(call.int(0)? as f64 - call.int(1)? as f64)
}

// ---- the process ----

fn execute<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let Some(command) = call.opt_string(0)? else {
        // Whether there is a shell.
        return call.ret(shell(b"exit 0").status().is_ok_and(|status| status.success()));
    };
    // The command may write where the script has written.
    call.ctx.host.flush_all();
    match shell(command.as_bytes()).status() {
        Ok(status) => ret_status(call, status),
        Err(error) => ret_error(call, None, &error),
    }
}

fn exit_code<'gc>(call: &Call<'gc>) -> Result<i32, Failure<'gc>> {
    Ok(match call.arg(0) {
        Value::Nil | Value::True => 0,
        Value::False => 1,
        _ => call.int(0)? as i32,
    })
}

fn exit<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let code = exit_code(call)?;
    if !call.arg(1).is_falsy() || call.ctx.host.at_exit.borrow().is_some() {
        return call.slow();
    }
    call.ctx.host.flush_all();
    std::process::exit(code)
}

/// The slow body. If the state is to be closed, variables are closed, finalizers run, and the process ends when
/// nothing of the script is left; see [`crate::limits`]. In a finalizer, for which real Lua is closing already, it
/// does nothing. Else the process ends when the host has had its say.
fn exit_slow(task: &mut Task<'_>) -> Result<usize, Raised> {
    let (code, closes) = task.enter(|call| Ok((exit_code(call)?, !call.arg(1).is_falsy())))?;
    if !closes {
        end_process(task.runner(), code);
    }
    if task.runner().host.finalizers.is_closing.get() {
        return Ok(0);
    }
    task.enter(|_| Err(Box::new(Fail::Exit(code))))
}

fn end_process(runner: &mut Runner<'_>, mut code: i32) -> ! {
    runner.host.flush_all();
    let at_exit = runner.host.at_exit.take();
    if let Some(at_exit) = at_exit {
        runner.collect();
        code = at_exit(&runner.cx.heap(), code);
    }
    std::process::exit(code)
}

fn getenv<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let name = call.string(0)?.as_bytes();
    // A name that no variable can have is not looked up.
    if name.is_empty() || name.iter().any(|&byte| byte == 0 || byte == b'=') {
        return call.ret(Value::Nil);
    }
    match std::env::var_os(path(name)) {
        Some(value) => call.ret(call.ctx.str(value.as_encoded_bytes())?),
        None => call.ret(Value::Nil),
    }
}

fn setlocale<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let locale = call.opt_string(0)?;
    let categories = ["all", "collate", "ctype", "monetary", "numeric", "time"];
    option(call, 1, "all", &categories.map(|name| (name, ())))?;
    match locale.map(|locale| locale.as_bytes()) {
        None | Some(b"" | b"C" | b"POSIX") => call.ret(call.ctx.str("C")?),
        Some(_) => call.ret(Value::Nil),
    }
}

// ---- files ----

/// Removes a file or an empty directory.
fn remove_any(name: &[u8]) -> io::Result<()> {
    let path = path(name);
    if fs::symlink_metadata(&path)?.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) }
}

fn remove<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let name = call.string(0)?.as_bytes();
    match remove_any(name) {
        Ok(()) => call.ret(true),
        Err(error) => ret_error(call, Some(name), &error),
    }
}

fn rename<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let (old, new) = (call.string(0)?.as_bytes(), call.string(1)?.as_bytes());
    ret_success(call, fs::rename(path(old), path(new)))
}

fn tmpname<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    match call.ctx.host.descriptors.opened(create_temporary())? {
        Ok((_, name)) => call.ret(call.ctx.str(name.into_os_string().as_encoded_bytes())?),
        Err(_) => Err(fail("unable to generate a unique filename")),
    }
}
