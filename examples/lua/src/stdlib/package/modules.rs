//! Modules: `require`, the searchers that it asks, and what the table `package` offers besides.
//!
//! * PK1: the upvalue of `require` and of the searchers is the table `package`; that of the searcher of
//!   preloaded modules is the table that `package.preload` was at first.

use heap_api::Gc;

use crate::error::{Failure, NoMemory, fail};
use crate::function::new_native;
use crate::native::{Call, NativeDef, NativeResult, Raised};
use crate::state::Ctx;
use crate::stdlib::io::path as file_path;
use crate::stdlib::{install, set_field};
use crate::table::Table;
use crate::value::{Type, Value};
use crate::vm::Task;

use super::{load_chunk, read_next_script};

static REQUIRE: NativeDef = NativeDef::slow("require", require);

/// In the order in which `require` asks them.
static SEARCHERS: [NativeDef; 4] = [
    NativeDef::fast("searcher_preload", search_preload),
    NativeDef::fast("searcher_Lua", search_script),
    NativeDef::fast("searcher_C", search_library),
    NativeDef::fast("searcher_Croot", search_root_library),
];

static FUNCTIONS: &[NativeDef] =
    &[NativeDef::fast("loadlib", load_library), NativeDef::fast("searchpath", search_path)];

/// Where scripts are looked for, unless the script changes `package.path`: real Lua's places.
const PATH: &[u8] = if cfg!(windows) {
    b"./?.lua;./?/init.lua"
} else {
    b"/usr/local/share/lua/5.4/?.lua;/usr/local/share/lua/5.4/?/init.lua;\
      /usr/local/lib/lua/5.4/?.lua;/usr/local/lib/lua/5.4/?/init.lua;./?.lua;./?/init.lua"
};

/// Where libraries in C are, which cannot be loaded.
const C_PATH: &[u8] = if cfg!(windows) {
    b"./?.dll"
} else {
    b"/usr/local/lib/lua/5.4/?.so;/usr/local/lib/lua/5.4/loadall.so;./?.so"
};

const NO_LIBRARIES: &str = "dynamic libraries not enabled; check your Lua installation";

/// Makes the table `package` and the function `require`.
///
/// # Errors
///
/// If the heap has no memory for it.
pub fn open<'gc>(ctx: Ctx<'gc>) -> Result<Gc<'gc, Table<'gc>>, NoMemory> {
    let package = Table::new(ctx)?;
    let preload = Table::new(ctx)?;
    set_field(ctx, ctx.state.registry, "_LOADED", ctx.state.loaded)?;
    set_field(ctx, ctx.state.registry, "_PRELOAD", preload)?;
    set_field(ctx, package, "loaded", ctx.state.loaded)?;
    set_field(ctx, package, "preload", preload)?;
    set_field(ctx, package, "path", ctx.str(PATH)?)?;
    set_field(ctx, package, "cpath", ctx.str(C_PATH)?)?;
    set_field(ctx, package, "config", ctx.str("/\n;\n?\n!\n-\n")?)?;
    install(ctx, package, FUNCTIONS)?;
    let searchers = Table::new(ctx)?;
    for (i, def) in SEARCHERS.iter().enumerate() {
        let own = if i == 0 { preload } else { package };
        let searcher = new_native(ctx, def, &[Value::Table(own)])?;
        searchers.set_int(ctx, i as i64 + 1, Value::Native(searcher))?;
    }
    set_field(ctx, package, "searchers", searchers)?;
    let require = new_native(ctx, &REQUIRE, &[Value::Table(package)])?;
    set_field(ctx, ctx.state.globals, "require", Value::Native(require))?;
    Ok(package)
}

/// Takes the paths that the environment has, if it has some.
///
/// # Errors
///
/// If the heap has no memory for it.
pub fn read_environment<'gc>(ctx: Ctx<'gc>) -> Result<(), NoMemory> {
    let Value::Table(package) = ctx.state.loaded.get_str(ctx, ctx.str("package")?) else {
        // The library `package` is not open.
        return Ok(());
    };
    for (field, name, default) in [("path", "LUA_PATH", PATH), ("cpath", "LUA_CPATH", C_PATH)] {
        let variable = std::env::var_os(format!("{name}_5_4")).or_else(|| std::env::var_os(name));
        if let Some(path) = variable {
            let path = with_default(path.as_encoded_bytes(), default);
            set_field(ctx, package, field, ctx.str(path)?)?;
        }
    }
    Ok(())
}

/// A path with the default one in the place of two semicolons.
fn with_default(path: &[u8], default: &[u8]) -> Vec<u8> {
    let Some(at) = memchr::memmem::find(path, b";;") else { return path.to_vec() };
    let (before, after) = (&path[..at], &path[at + 2..]);
    let parts = [before, default, after];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(&b';')
}

// ---- require ----

/// The function's table (PK1).
fn own_table<'gc>(call: &Call<'gc>) -> Gc<'gc, Table<'gc>> {
    match call.upvalue(0) {
        Value::Table(table) => table,
        _ => unreachable!("PK1: the upvalue is a table"),
    }
}

/// What a searcher has answered.
enum Answer {
    /// Its two results are on the stack: a loader, and the value that the loader gets as its second
    /// argument.
    Found,
    NotFound,
    /// There are no more searchers.
    NoneLeft,
}

fn require(task: &mut Task<'_>) -> Result<usize, Raised> {
    let is_loaded = task.enter(|call| {
        let loaded = call.ctx.state.loaded.get_str(call.ctx, call.string(0)?);
        if loaded.is_falsy() {
            let searchers = own_table(call).get_str(call.ctx, call.ctx.str("searchers")?);
            if searchers.ty() != Type::Table {
                return Err(fail("'package.searchers' must be a table"));
            }
            call.push(searchers)?;
            return Ok(false);
        }
        call.place(&[loaded]);
        Ok(true)
    })?;
    if is_loaded {
        return Ok(1);
    }
    let mut reasons = Vec::new();
    for i in 1.. {
        match ask(task, i, &mut reasons)? {
            Answer::Found => break,
            Answer::NotFound => {}
            Answer::NoneLeft => {
                return task.enter(|call| {
                    let mut message = b"module '".to_vec();
                    message.extend_from_slice(call.string(0)?.as_bytes());
                    message.extend_from_slice(b"' not found:");
                    message.extend_from_slice(&reasons);
                    Err(Box::new(crate::error::Fail::Bytes(message)))
                });
            }
        }
    }
    // Stack: searchers, loader, extra value; the call wants loader, name, extra value.
    task.enter(|call| {
        let extra = call.pushed(2);
        call.push(call.pushed(1))?;
        call.push(Value::Str(call.string(0)?))?;
        call.push(extra)
    })?;
    task.call_for(2, 1)?;
    task.enter(|call| {
        let (name, extra, result) = (call.string(0)?, call.pushed(2), call.pushed(3));
        let loaded = call.ctx.state.loaded;
        if !result.is_nil() {
            loaded.set_str(call.ctx, name, result)?;
        } else if loaded.get_str(call.ctx, name).is_nil() {
            loaded.set_str(call.ctx, name, Value::True)?;
        }
        Ok(call.place(&[loaded.get_str(call.ctx, name), extra]))
    })
}

/// Asks searcher `i` of the table on the stack, and collects why it found nothing.
fn ask(task: &mut Task<'_>, i: i64, reasons: &mut Vec<u8>) -> Result<Answer, Raised> {
    let is_there = task.enter(|call| {
        let Value::Table(searchers) = call.pushed(0) else { unreachable!("pushed by `require`") };
        let searcher = searchers.get_int(call.ctx, i);
        if searcher.is_nil() {
            return Ok(false);
        }
        call.push(searcher)?;
        call.push(Value::Str(call.string(0)?))?;
        Ok(true)
    })?;
    if !is_there {
        return Ok(Answer::NoneLeft);
    }
    task.call_for(1, 2)?;
    task.enter(|call| {
        match call.pushed(1) {
            loader if loader.ty() == Type::Function => return Ok(Answer::Found),
            Value::Str(reason) => {
                reasons.extend_from_slice(b"\n\t");
                reasons.extend_from_slice(reason.as_bytes());
            }
            number @ (Value::Int(_) | Value::Float(_)) => {
                reasons.extend_from_slice(b"\n\t");
                crate::vm::append_number(reasons, number);
            }
            _ => {}
        }
        call.pop();
        call.pop();
        Ok(Answer::NotFound)
    })
}

// ---- searchers ----

fn search_preload<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let name = call.string(0)?;
    match own_table(call).get_str(call.ctx, name) {
        Value::Nil => {
            let mut message = b"no field package.preload['".to_vec();
            message.extend_from_slice(name.as_bytes());
            message.extend_from_slice(b"']");
            call.ret(call.ctx.str(message)?)
        }
        loader => {
            let extra = call.ctx.str(":preload:")?;
            call.ret_all(&[loader, Value::Str(extra)])
        }
    }
}

/// Looks for module `name` by the path that is field `field` of `package`. `Err`: why it is not there.
fn find<'gc>(
    call: &Call<'gc>,
    name: &[u8],
    field: &str,
) -> Result<Result<Vec<u8>, Vec<u8>>, Failure<'gc>> {
    let path = match own_table(call).get_str(call.ctx, call.ctx.str(field)?) {
        Value::Str(path) => path.as_bytes().to_vec(),
        number @ (Value::Int(_) | Value::Float(_)) => {
            let mut path = Vec::new();
            crate::vm::append_number(&mut path, number);
            path
        }
        _ => return Err(fail(format!("'package.{field}' must be a string"))),
    };
    Ok(first_readable(call.ctx, name, &path, b".", b"/")?)
}

fn search_script<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let name = call.string(0)?;
    let file = match find(call, name.as_bytes(), "path")? {
        Ok(file) => file,
        Err(reason) => return call.ret(call.ctx.str(reason)?),
    };
    let environment = Value::Table(call.ctx.state.globals);
    let text = String::from_utf8_lossy(&file);
    let loaded = match read_next_script(call.ctx, Some(&text))? {
        Ok((source, chunk)) => load_chunk(call.ctx, &source, &chunk, environment)?,
        Err(message) => Err(message),
    };
    match loaded {
        Ok(closure) => {
            let extra = call.ctx.str(&file)?;
            call.ret_all(&[Value::Function(closure), Value::Str(extra)])
        }
        Err(message) => Err(not_loaded(name.as_bytes(), &file, &message)),
    }
}

#[cold]
fn not_loaded<'gc>(name: &[u8], file: &[u8], message: &str) -> Failure<'gc> {
    let (name, file) = (String::from_utf8_lossy(name), String::from_utf8_lossy(file));
    fail(format!("error loading module '{name}' from file '{file}':\n\t{message}"))
}

fn search_library<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let name = call.string(0)?.as_bytes();
    match find(call, name, "cpath")? {
        Ok(file) => Err(not_loaded(name, &file, NO_LIBRARIES)),
        Err(reason) => call.ret(call.ctx.str(reason)?),
    }
}

/// The searcher for a C library of the root module, which may contain this submodule.
fn search_root_library<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let name = call.string(0)?.as_bytes();
    let Some(end) = memchr::memchr(b'.', name) else { return call.ret_none() };
    match find(call, &name[..end], "cpath")? {
        Ok(file) => Err(not_loaded(name, &file, NO_LIBRARIES)),
        Err(reason) => call.ret(call.ctx.str(reason)?),
    }
}

/// The first file of a path's templates that can be read, or why there is none.
fn first_readable(
    ctx: Ctx<'_>,
    name: &[u8],
    path: &[u8],
    separator: &[u8],
    replacement: &[u8],
) -> Result<Result<Vec<u8>, Vec<u8>>, NoMemory> {
    let name = replaced(name, separator, replacement);
    let files = replaced(path, b"?", &name);
    for file in files.split(|&byte| byte == b';') {
        let opened = std::fs::File::open(file_path(file));
        if ctx.host.descriptors.opened(opened)?.is_ok() {
            return Ok(Ok(file.to_vec()));
        }
    }
    let mut reason = b"no file '".to_vec();
    reason.extend(replaced(&files, b";", b"'\n\tno file '"));
    reason.push(b'\'');
    Ok(Err(reason))
}

/// A text with every `from` in it replaced.
fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while !from.is_empty()
        && let Some(at) = memchr::memmem::find(rest, from)
    {
        result.extend_from_slice(&rest[..at]);
        result.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    result.extend_from_slice(rest);
    result
}

// ---- package ----

fn search_path<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let (name, path) = (call.string(0)?, call.string(1)?);
    let separator = call.opt_string(2)?.map_or(&b"."[..], |text| text.as_bytes());
    let replacement = call.opt_string(3)?.map_or(&b"/"[..], |text| text.as_bytes());
    match first_readable(call.ctx, name.as_bytes(), path.as_bytes(), separator, replacement)? {
        Ok(file) => call.ret(call.ctx.str(file)?),
        Err(reason) => {
            let reason = call.ctx.str(reason)?;
            call.ret_all(&[Value::Nil, Value::Str(reason)])
        }
    }
}

fn load_library<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    call.string(0)?;
    call.string(1)?;
    let (message, what) = (call.ctx.str(NO_LIBRARIES)?, call.ctx.str("absent")?);
    call.ret_all(&[Value::Nil, Value::Str(message), Value::Str(what)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_semicolons_stand_for_the_default() {
        for (path, expected) in [
            ("a;b", "a;b"),
            (";;", "D"),
            ("a;;", "a;D"),
            (";;b", "D;b"),
            ("a;;b", "a;D;b"),
            ("a;;b;;c", "a;D;b;;c"),
        ] {
            assert_eq!(with_default(path.as_bytes(), b"D"), expected.as_bytes(), "{path}");
        }
    }

    #[test]
    fn replacements() {
        assert_eq!(replaced(b"a.b.c", b".", b"/"), b"a/b/c");
        assert_eq!(replaced(b"a.b", b"", b"/"), b"a.b");
        assert_eq!(replaced(b"a..b", b"..", b""), b"ab");
    }
}
