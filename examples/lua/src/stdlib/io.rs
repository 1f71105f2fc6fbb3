//! The `io` library.
//!
//! Called by the interpreter only, through [`open`]. A file is a userdata whose content is a
//! [`LuaFile`]; `io.stdout` stands for the interpreter's configured output.
//!
//! * IO1: the functions of the library share a table, their first upvalue: the default input and
//!   output and the files' metatable. The methods of files need none.
//! * a file is locked only while one native body runs, and such a body never calls Lua: the
//!   lock is free whenever it is wanted.
//! * a program that the shell runs is a file with a [`process`] behind it.
//! * everything a script has written is passed on when the file is closed, collected, or the
//!   process ends through `os.exit` ([`OpenFiles`]).

mod file;
mod process;
mod read;
mod stream;

use std::io::{self, SeekFrom};
use std::process::ExitStatus;

use heap_api::Gc;

use super::install;
use crate::error::{Failure, NoMemory, fail};
use crate::function::new_native;
use crate::native::{Call, NativeDef, NativeResult};
use crate::number;
use crate::state::{Ctx, Event};
use crate::table::Table;
use crate::value::Value;
use crate::vm::append_number;
use file::{
    Closed, FileHandle, close_stream, flush_stream, new_closed_file, new_file, open_mode,
    with_stream, write_bytes,
};
pub use file::{LuaFile, OpenFiles};
pub(super) use file::{create_temporary, path};
pub use process::Children;
use process::{PipeMode, Process};
pub(super) use process::{ending, shell};
use read::{lines_iterator, read_arguments};
use stream::{Buffering, Device, Direction, LineEnd, Stream, from_start};

static FUNCTIONS: &[NativeDef] = &[
    NativeDef::fast("close", io_close),
    NativeDef::fast("flush", |call| flush(call, default_file(call, OUTPUT)?)),
    NativeDef::fast("input", |call| default(call, INPUT)),
    NativeDef::fast("lines", io_lines),
    NativeDef::fast("open", io_open),
    NativeDef::fast("output", |call| default(call, OUTPUT)),
    NativeDef::fast("popen", popen),
    NativeDef::fast("read", |call| read_arguments(call, default_file(call, INPUT)?, 0)),
    NativeDef::fast("tmpfile", tmpfile),
    NativeDef::fast("type", type_),
    NativeDef::fast("write", |call| write(call, default_file(call, OUTPUT)?, 0)),
];

static METHODS: &[NativeDef] = &[
    NativeDef::fast("close", |call| close(call, file_argument(call)?)),
    NativeDef::fast("flush", |call| flush(call, file_argument(call)?)),
    NativeDef::fast("lines", |call| {
        let file = file_argument(call)?;
        call.ret(lines_iterator(call, file, Value::False)?)
    }),
    NativeDef::fast("read", |call| read_arguments(call, file_argument(call)?, 1)),
    NativeDef::fast("seek", seek),
    NativeDef::fast("setvbuf", setvbuf),
    NativeDef::fast("write", |call| write(call, file_argument(call)?, 1)),
];

static METAMETHODS: &[NativeDef] = &[
    NativeDef::fast("__close", finish),
    NativeDef::fast("__gc", finish),
    NativeDef::fast("__tostring", to_string),
];

/// The error of a script that has changed the table that the functions share (`debug.getupvalue`
/// returns it).
const SPOILT: &str = "the library's own table has been changed";

/// Places in the table that the functions share (IO1).
const INPUT: i64 = 1;
const OUTPUT: i64 = 2;
const METATABLE: i64 = 3;

/// Makes the library's table, the standard files and the files' metatable.
///
/// # Errors
///
/// If the heap has no memory for it.
pub fn open<'gc>(ctx: Ctx<'gc>) -> Result<Gc<'gc, Table<'gc>>, NoMemory> {
    let methods = Table::new(ctx)?;
    install(ctx, methods, METHODS)?;
    let metatable = Table::new(ctx)?;
    install(ctx, metatable, METAMETHODS)?;
    metatable.set_str(ctx, ctx.state.event_key(Event::Index), Value::Table(methods))?;
    let name = Value::Str(ctx.str("FILE*")?);
    metatable.set_str(ctx, ctx.state.event_key(Event::Name), name)?;

    let shared = Table::new(ctx)?;
    shared.set_int(ctx, METATABLE, Value::Table(metatable))?;
    let library = Table::new(ctx)?;
    for def in FUNCTIONS {
        let function = new_native(ctx, def, &[Value::Table(shared)])?;
        library.set_str(ctx, ctx.str(def.name)?, Value::Native(function))?;
    }
    let standard = [
        ("stdin", Device::Stdin, Direction::Input, Some(INPUT)),
        ("stdout", Device::Stdout, Direction::Output, Some(OUTPUT)),
        ("stderr", Device::Stderr, Direction::Output, None),
    ];
    for (name, device, direction, place) in standard {
        let file = new_file(ctx, metatable, Stream::new(device, direction))?.value();
        library.set_str(ctx, ctx.str(name)?, file)?;
        if let Some(place) = place {
            shared.set_int(ctx, place, file)?;
        }
    }
    Ok(library)
}

// ---- files ----

/// Argument 0, which must be a file, open or not.
fn any_file_argument<'gc>(call: &Call<'gc>) -> Result<FileHandle<'gc>, Failure<'gc>> {
    FileHandle::of(call.arg(0)).ok_or_else(|| call.type_error(0, "FILE*"))
}

/// Argument 0, which must be an open file.
fn file_argument<'gc>(call: &Call<'gc>) -> Result<FileHandle<'gc>, Failure<'gc>> {
    let file = any_file_argument(call)?;
    if file.lock().is_none() {
        return Err(fail("attempt to use a closed file"));
    }
    Ok(file)
}

/// The table that the library's functions share (IO1).
fn shared<'gc>(call: &Call<'gc>) -> Gc<'gc, Table<'gc>> {
    match call.upvalue(0) {
        Value::Table(shared) => shared,
        _ => unreachable!("IO1: the functions share a table"),
    }
}

fn current_default<'gc>(call: &Call<'gc>, place: i64) -> Result<FileHandle<'gc>, Failure<'gc>> {
    FileHandle::of(shared(call).get_int(call.ctx, place)).ok_or_else(|| fail(SPOILT))
}

/// The default input or output, which must be open.
fn default_file<'gc>(call: &Call<'gc>, place: i64) -> Result<FileHandle<'gc>, Failure<'gc>> {
    let file = current_default(call, place)?;
    if file.lock().is_none() {
        let name = if place == INPUT { "input" } else { "output" };
        return Err(fail(format!("default {name} file is closed")));
    }
    Ok(file)
}

// ---- results ----

/// The text of a system error, as C's `strerror` has it.
pub(super) fn error_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// What functions return for a system error: nil, a message, a number.
pub(super) fn ret_error<'gc>(
    call: &Call<'gc>,
    name: Option<&[u8]>,
    error: &io::Error,
) -> NativeResult<'gc> {
    let mut message = Vec::new();
    if let Some(name) = name {
        message.extend_from_slice(name);
        message.extend_from_slice(b": ");
    }
    message.extend_from_slice(error_text(error).as_bytes());
    let number = i64::from(error.raw_os_error().unwrap_or(0));
    call.ret_all(&[Value::Nil, Value::Str(call.ctx.str(message)?), Value::Int(number)])
}

/// What functions return for a process that has ended.
pub(super) fn ret_status<'gc>(call: &Call<'gc>, status: ExitStatus) -> NativeResult<'gc> {
    let success = if status.success() { Value::True } else { Value::Nil };
    let (how, number) = ending(status);
    call.ret_all(&[success, Value::Str(call.ctx.str(how)?), Value::Int(number)])
}

/// What functions return that only succeed or fail.
pub(super) fn ret_success<'gc>(call: &Call<'gc>, result: io::Result<()>) -> NativeResult<'gc> {
    match result {
        Ok(()) => call.ret(true),
        Err(error) => ret_error(call, None, &error),
    }
}

// ---- opening ----

fn shared_metatable<'gc>(call: &Call<'gc>) -> Result<Gc<'gc, Table<'gc>>, Failure<'gc>> {
    match shared(call).get_int(call.ctx, METATABLE) {
        Value::Table(metatable) => Ok(metatable),
        _ => Err(fail(SPOILT)),
    }
}

fn io_open<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let name = call.string(0)?.as_bytes();
    let mode = call.opt_string(1)?.map_or(&b"r"[..], |mode| mode.as_bytes());
    let Some((options, direction)) = open_mode(mode) else {
        return Err(call.bad_argument(1, "invalid mode"));
    };
    match call.ctx.host.descriptors.opened(options.open(path(name)))? {
        Ok(file) => {
            let stream = Stream::new(Device::File(file), direction);
            call.ret(new_file(call.ctx, shared_metatable(call)?, stream)?.value())
        }
        Err(error) => ret_error(call, Some(name), &error),
    }
}

/// Opens a file for a function that has no other way to report a problem than an error.
fn open_or_fail<'gc>(
    call: &Call<'gc>,
    name: &[u8],
    mode: &[u8],
) -> Result<FileHandle<'gc>, Failure<'gc>> {
    let Some((options, direction)) = open_mode(mode) else { unreachable!("callers give a mode") };
    match call.ctx.host.descriptors.opened(options.open(path(name)))? {
        Ok(file) => {
            let stream = Stream::new(Device::File(file), direction);
            Ok(new_file(call.ctx, shared_metatable(call)?, stream)?)
        }
        Err(error) => {
            let name = String::from_utf8_lossy(name);
            Err(fail(format!("cannot open file '{name}' ({})", error_text(&error))))
        }
    }
}

fn tmpfile<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    match call.ctx.host.descriptors.opened(create_temporary())? {
        Ok((file, name)) => {
            // The file lives on without its name; where that is impossible, the name stays.
            let _ = std::fs::remove_file(name);
            let stream = Stream::new(Device::File(file), Direction::Both);
            call.ret(new_file(call.ctx, shared_metatable(call)?, stream)?.value())
        }
        Err(error) => ret_error(call, None, &error),
    }
}

fn popen<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let command = call.string(0)?.as_bytes();
    let (mode, direction) = match call.opt_string(1)?.map_or(&b"r"[..], |mode| mode.as_bytes()) {
        b"r" => (PipeMode::Read, Direction::Input),
        b"w" => (PipeMode::Write, Direction::Output),
        _ => return Err(call.bad_argument(1, "invalid mode")),
    };
    // The program may write where the script has written, and must be started only once: all that
    // may fail for lack of memory comes first.
    call.ctx.host.flush_all();
    let file = new_closed_file(call.ctx, shared_metatable(call)?)?;
    let started = Process::start(command, mode, &call.ctx.host.children);
    match call.ctx.host.descriptors.opened(started)? {
        Ok(process) => {
            let opened = Stream::new(Device::Process(process), direction);
            with_stream(call.ctx, file, |stream| *stream = Some(opened));
            call.ret(file.value())
        }
        Err(error) => ret_error(call, Some(command), &error),
    }
}

/// The next line of the file that the value is, without its end; of the process's standard input if it is
/// none. `None` at the end.
pub(super) fn next_line<'gc>(ctx: Ctx<'gc>, file: Value<'gc>) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = FileHandle::of(file) else {
        let mut line = String::new();
        let length = io::stdin().read_line(&mut line)?;
        return Ok((length > 0).then(|| line.trim_end_matches('\n').as_bytes().to_vec()));
    };
    with_stream(ctx, file, |stream| {
        let Some(stream) = stream else { return Ok(None) };
        let mut cursor = stream.begin()?;
        let range = cursor.line(LineEnd::Dropped, ctx.host.buffer_limit)?;
        let position = cursor.position();
        let line = range.map(|range| cursor.bytes(range).to_vec());
        stream.commit(position);
        Ok(line)
    })
}

// ---- defaults ----

/// `io.input` and `io.output`.
fn default<'gc>(call: &Call<'gc>, place: i64) -> NativeResult<'gc> {
    match call.arg(0) {
        Value::Nil => {}
        Value::UserData(_) => {
            let file = file_argument(call)?;
            shared(call).set_int(call.ctx, place, file.value())?;
        }
        Value::Str(_) | Value::Int(_) | Value::Float(_) => {
            let name = call.string(0)?;
            let mode: &[u8] = if place == INPUT { b"r" } else { b"w" };
            let file = open_or_fail(call, name.as_bytes(), mode)?;
            shared(call).set_int(call.ctx, place, file.value())?;
        }
        _ => return Err(call.type_error(0, "FILE*")),
    }
    call.ret(current_default(call, place)?.value())
}

fn io_lines<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    if call.arg(0).is_nil() {
        let file = default_file(call, INPUT)?;
        return call.ret(lines_iterator(call, file, Value::False)?);
    }
    let file = open_or_fail(call, call.string(0)?.as_bytes(), b"r")?;
    // The last value closes the file when the loop is left early.
    let iterator = lines_iterator(call, file, Value::True)?;
    call.ret_all(&[iterator, Value::Nil, Value::Nil, file.value()])
}

fn io_close<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    if call.count() == 0 {
        close(call, default_file(call, OUTPUT)?)
    } else {
        close(call, file_argument(call)?)
    }
}

// ---- methods ----

fn close<'gc>(call: &Call<'gc>, file: FileHandle<'gc>) -> NativeResult<'gc> {
    match close_stream(call.ctx, file) {
        Ok(Closed::File) => call.ret(true),
        Ok(Closed::Process(status)) => ret_status(call, status),
        Ok(Closed::Standard) => {
            let message = call.ctx.str("cannot close standard file")?;
            call.ret_all(&[Value::Nil, Value::Str(message)])
        }
        Err(error) => ret_error(call, None, &error),
    }
}

/// `__close` and `__gc`.
fn finish<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let file = any_file_argument(call)?;
    // No caller is left to report an error to.
    let _ = close_stream(call.ctx, file);
    call.ret_none()
}

fn type_<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    match FileHandle::of(call.any(0)?) {
        Some(file) => {
            let open = file.lock().is_some();
            call.ret(call.ctx.str(if open { "file" } else { "closed file" })?)
        }
        None => call.ret(Value::Nil),
    }
}

fn to_string<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let file = any_file_argument(call)?;
    let text = if file.lock().is_none() {
        "file (closed)".to_owned()
    } else {
        format!("file ({:#x})", file.value().address().unwrap_or(0))
    };
    call.ret(call.ctx.str(text)?)
}

fn flush<'gc>(call: &Call<'gc>, file: FileHandle<'gc>) -> NativeResult<'gc> {
    let result = with_stream(call.ctx, file, |stream| match stream {
        Some(stream) => flush_stream(call.ctx.host, stream),
        None => Ok(()),
    });
    ret_success(call, result)
}

/// Writes the arguments from `first` on.
fn write<'gc>(call: &Call<'gc>, file: FileHandle<'gc>, first: usize) -> NativeResult<'gc> {
    let result = with_stream(call.ctx, file, |stream| {
        let Some(stream) = stream else { return Err(fail("attempt to use a closed file")) };
        let mut result = Ok(());
        for i in first..call.count() {
            result = result.and(write_value(call, stream, i)?);
        }
        Ok(result)
    });
    match result? {
        Ok(()) => call.ret(file.value()),
        Err(error) => ret_error(call, None, &error),
    }
}

/// Writes argument `i`.
fn write_value<'gc>(
    call: &Call<'gc>,
    stream: &mut Stream,
    i: usize,
) -> Result<io::Result<()>, Failure<'gc>> {
    let host = call.ctx.host;
    Ok(match call.arg(i) {
        Value::Str(text) => write_bytes(host, stream, text.as_bytes()),
        // Without the ".0" that tells floats from integers elsewhere.
        Value::Float(f) => {
            write_bytes(host, stream, number::format_general(f.get(), 14).as_bytes())
        }
        value @ Value::Int(_) => {
            let mut digits = Vec::new();
            append_number(&mut digits, value);
            write_bytes(host, stream, &digits)
        }
        _ => return Err(call.type_error(i, "string")),
    })
}

/// Which of the named options argument `i` is.
pub(super) fn option<'gc, T: Copy>(
    call: &Call<'gc>,
    i: usize,
    default: &str,
    options: &[(&str, T)],
) -> Result<T, Failure<'gc>> {
    let given = call.opt_string(i)?;
    let given = given.map_or(default.as_bytes(), |text| text.as_bytes());
    let found = options.iter().find(|(name, _)| name.as_bytes() == given);
    found.map(|(_, value)| *value).ok_or_else(|| {
        call.bad_argument(i, format!("invalid option '{}'", String::from_utf8_lossy(given)))
    })
}

fn seek<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let file = file_argument(call)?;
    let whence: fn(i64) -> io::Result<SeekFrom> = option(
        call,
        1,
        "cur",
        &[
            ("set", from_start as fn(i64) -> io::Result<SeekFrom>),
            ("cur", |offset| Ok(SeekFrom::Current(offset))),
            ("end", |offset| Ok(SeekFrom::End(offset))),
        ],
    )?;
    let offset = call.opt_int(2, 0)?;
    let result = with_stream(call.ctx, file, |stream| match stream {
        Some(stream) => whence(offset).and_then(|target| stream.seek(target)),
        None => Ok(0),
    });
    match result {
        Ok(position) => call.ret(position as i64),
        Err(error) => ret_error(call, None, &error),
    }
}

fn setvbuf<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let file = file_argument(call)?;
    // There is no default: an absent mode is an error, because it is not a string.
    call.string(1)?;
    let modes = [("no", Buffering::None), ("full", Buffering::Full), ("line", Buffering::Line)];
    let buffering = option(call, 1, "", &modes)?;
    call.opt_int(2, 0)?;
    let result = with_stream(call.ctx, file, |stream| match stream {
        Some(stream) => {
            stream.buffering = buffering;
            if matches!(stream.device, Device::Stdout) {
                call.ctx.host.flushes_output.set(buffering != Buffering::Full);
            }
            flush_stream(call.ctx.host, stream)
        }
        None => Ok(()),
    });
    ret_success(call, result)
}
