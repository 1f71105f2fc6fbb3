//! Chunks: `load`, `loadfile`, `dofile`. Modules, which are found by name: [`modules`].

mod modules;

use std::fs::File;
use std::io::{self, Read};

use heap_api::Gc;

use crate::bytecode::chunk::read_chunk;
use crate::bytecode::verify;
use crate::compiler::compile;
use crate::error::{Fail, Failure, NoMemory, fail};
use crate::function::{Closure, Proto, Upval, new_closure};
use crate::native::{Call, Done, NativeResult, Raised};
use crate::state::Ctx;
use crate::thread::MAX_NESTING;
use crate::value::{Type, Value};
use crate::vm::{Task, append_number};

use super::io::error_text;
use super::string::buffer::Buffer;
use super::table::no_retry;

pub use modules::{open, read_environment};

// ---- chunks ----

/// What a binary chunk begins with.
const ESCAPE: u8 = 0x1b;

/// Compiles a chunk of source text into a function whose `_ENV` is the given value. A binary one is
/// verified and loaded; its first upvalue gets the value, the others are nil.
///
/// # Errors
///
/// If the heap has no memory for it. `Ok(Err(message))`: the chunk does not compile.
pub fn load_chunk<'gc>(
    ctx: Ctx<'gc>,
    source: &[u8],
    name: &str,
    environment: Value<'gc>,
) -> Result<Result<Gc<'gc, Closure<'gc>>, String>, NoMemory> {
    let compiled = if source.first() == Some(&ESCAPE) && !ctx.host.loads_binary.get() {
        Err("attempt to load a binary chunk (the host allows text only)".to_owned())
    } else if source.first() == Some(&ESCAPE) {
        read_chunk(source).and_then(|data| verify(&data).map(|()| data)).map_err(|error| {
            let is_file = name.starts_with(['=', '@']);
            let shown = if is_file { &name[1..] } else { "binary string" };
            format!("{shown}: bad binary format ({error})")
        })
    } else {
        let max_depth = MAX_NESTING.saturating_sub(ctx.state.thread.get().nesting()) as usize;
        compile(source, name, max_depth).map_err(|error| error.message)
    };
    let data = match compiled {
        Ok(data) => data,
        Err(message) => return Ok(Err(message)),
    };
    let count = data.upvalues.len();
    let proto = Proto::load(ctx, data)?;
    let upvalue = |i| {
        let value = if i == 0 { environment } else { Value::Nil };
        ctx.cx.try_alloc(Upval::closed(value)).map_err(NoMemory::from)
    };
    let upvalues: Vec<_> = (0..count).map(upvalue).collect::<Result<_, _>>()?;
    Ok(Ok(new_closure(ctx, proto, &upvalues)?))
}

/// What `load` and `loadfile` return: the function, or nil and a message. `mode` and `environment`
/// are argument numbers.
fn finish_load<'gc>(
    call: &Call<'gc>,
    source: &[u8],
    name: &str,
    mode: usize,
    environment: usize,
) -> Result<usize, Failure<'gc>> {
    let mode = call.opt_string(mode)?.map_or_else(|| "bt".to_owned(), |mode| mode.to_text());
    let is_binary = source.first() == Some(&ESCAPE);
    let (kind, letter) = if is_binary { ("binary", 'b') } else { ("text", 't') };
    let loaded = if !mode.contains(letter) {
        Err(format!("attempt to load a {kind} chunk (mode is '{mode}')"))
    } else {
        let environment = if environment < call.count() {
            call.arg(environment)
        } else {
            Value::Table(call.ctx.state.globals)
        };
        load_chunk(call.ctx, source, name, environment)?
    };
    Ok(match loaded {
        Ok(closure) => call.place(&[Value::Function(closure)]),
        Err(message) => call.place(&[Value::Nil, Value::Str(call.ctx.str(message)?)]),
    })
}

pub(super) fn load<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let source = match call.arg(0) {
        Value::Str(source) => source,
        Value::Int(_) | Value::Float(_) => call.string(0)?,
        other if other.ty() == Type::Function => return call.slow(),
        _ => return Err(call.type_error(0, "function")),
    };
    let name = call.opt_string(1)?.unwrap_or(source).to_text();
    finish_load(call, source.as_bytes(), &name, 2, 3).map(Done::Results)
}

/// What a reader function returned.
enum Piece {
    Text,
    End,
    Wrong,
}

/// `load` with a reader function. An error in the reader is `load`'s result, like a syntax error.
pub(super) fn load_slow(task: &mut Task<'_>) -> Result<usize, Raised> {
    let mut source = Buffer::new(task.runner().host);
    loop {
        task.enter(|call| call.push(call.arg(0)))?;
        if task.call_for(0, 1).is_err() {
            task.catch()?;
            return not_loaded(task);
        }
        let piece = task.enter(|call| match call.pop() {
            Value::Nil => Ok(Piece::End),
            Value::Str(piece) if piece.is_empty() => Ok(Piece::End),
            Value::Str(piece) => {
                source.append(piece.as_bytes()).map_err(|_| no_retry(NoMemory))?;
                Ok(Piece::Text)
            }
            number @ (Value::Int(_) | Value::Float(_)) => {
                let mut text = Vec::new();
                append_number(&mut text, number);
                source.append(&text).map_err(|_| no_retry(NoMemory))?;
                Ok(Piece::Text)
            }
            _ => Ok(Piece::Wrong),
        })?;
        match piece {
            Piece::Text => {}
            Piece::End => break,
            Piece::Wrong => {
                let _ = task.enter::<()>(|_| Err(fail("reader function must return a string")));
                return not_loaded(task);
            }
        }
    }
    task.enter(|call| {
        let name = call.opt_string(1)?.map_or_else(|| "=(load)".to_owned(), |name| name.to_text());
        finish_load(call, source.bytes(), &name, 2, 3)
    })
}

/// What `load` returns when its reader has raised the error in the state.
fn not_loaded(task: &mut Task<'_>) -> Result<usize, Raised> {
    task.enter(|call| {
        let error = call.ctx.state.error.get();
        Ok(call.place(&[Value::Nil, error]))
    })
}

/// A script's text and the name of its chunk; `None` is the standard input. A byte order mark and a
/// first line that starts with `#` are not part of the text. The message of an error is the one of
/// real Lua.
///
/// # Errors
///
/// If the file cannot be read.
pub fn read_script(path: Option<&str>) -> Result<(Vec<u8>, String), String> {
    script(path, open_script(path))
}

/// As [`read_script`], for a script that runs.
///
/// # Errors
///
/// If files that are garbage may be in the way. `Ok(Err(message))`: the file cannot be read.
fn read_next_script(
    ctx: Ctx<'_>,
    path: Option<&str>,
) -> Result<Result<(Vec<u8>, String), String>, NoMemory> {
    Ok(script(path, ctx.host.descriptors.opened(open_script(path))?))
}

/// The file of a script; `None` stands for the standard input.
fn open_script(path: Option<&str>) -> io::Result<Option<File>> {
    path.map(File::open).transpose()
}

fn script(
    path: Option<&str>,
    opened: io::Result<Option<File>>,
) -> Result<(Vec<u8>, String), String> {
    let shown = path.unwrap_or("stdin");
    let failed = |what, error| format!("cannot {what} {shown}: {}", error_text(&error));
    let mut source = Vec::new();
    match opened.map_err(|error| failed("open", error))? {
        Some(mut file) => file.read_to_end(&mut source),
        None => io::stdin().lock().read_to_end(&mut source),
    }
    .map_err(|error| failed("read", error))?;
    let name = path.map_or_else(|| "=stdin".to_owned(), |path| format!("@{path}"));
    Ok((without_header(source), name))
}

/// Drops what may precede the text of a script. The line end stays, for the line count, except before a
/// binary chunk.
fn without_header(mut source: Vec<u8>) -> Vec<u8> {
    let mark: &[u8] = b"\xef\xbb\xbf";
    let start = if source.starts_with(mark) { mark.len() } else { 0 };
    let end = match source.get(start) {
        Some(b'#') => source.iter().position(|byte| *byte == b'\n').unwrap_or(source.len()),
        _ => start,
    };
    let is_binary = end > start && source.get(end + 1) == Some(&ESCAPE);
    source.drain(..end + usize::from(is_binary));
    source
}

pub(super) fn loadfile<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let path = call.opt_string(0)?.map(|path| path.to_text());
    match read_next_script(call.ctx, path.as_deref())? {
        Ok((source, name)) => finish_load(call, &source, &name, 1, 2).map(Done::Results),
        Err(message) => {
            let message = call.ctx.str(message)?;
            call.ret_all(&[Value::Nil, Value::Str(message)])
        }
    }
}

/// The function that `dofile` calls: the chunk of the file that its argument names.
pub fn script_to_do<'gc>(call: &Call<'gc>) -> Result<Gc<'gc, Closure<'gc>>, Failure<'gc>> {
    let path = call.opt_string(0)?.map(|path| path.to_text());
    let environment = Value::Table(call.ctx.state.globals);
    let loaded = match read_next_script(call.ctx, path.as_deref())? {
        Ok((source, name)) => load_chunk(call.ctx, &source, &name, environment)?,
        Err(message) => Err(message),
    };
    match loaded {
        Ok(closure) => Ok(closure),
        Err(message) => Err(Box::new(Fail::Value(Value::Str(call.ctx.str(message)?)))),
    }
}
