//! The standard library: one file per library.
//!
//! Each has its functions in `static` slices of [`NativeDef`] and an `open` that makes the library's
//! table; [`open`] calls those that the host wants once per interpreter ([`Libraries`]). What is missing:
//! loading of C modules.

pub mod base;
pub mod coroutine;
pub mod debug;
pub mod io;
mod libraries;
pub mod math;
pub mod os;
pub mod package;
pub mod string;
pub mod table;
pub mod utf8;

use heap_api::Gc;

use crate::error::NoMemory;
use crate::function::new_native;
use crate::native::NativeDef;
use crate::state::Ctx;
use crate::table::Table;
use crate::value::Value;

pub use libraries::{Access, Libraries, Library};

/// Opens libraries.
///
/// # Errors
///
/// If the heap has no memory for them.
pub fn open<'gc>(ctx: Ctx<'gc>, libraries: &Libraries) -> Result<(), NoMemory> {
    ctx.state.registry.set_int(ctx, 1, Value::Thread(ctx.state.main_thread))?;
    ctx.state.registry.set_int(ctx, 2, Value::Table(ctx.state.globals))?;
    ctx.host.loads_binary.set(libraries.access(Library::Base) == Access::Full);
    let mut input = Value::Nil;
    for library in Library::ALL {
        let access = libraries.access(library);
        if access == Access::Closed {
            continue;
        }
        let table = match library {
            Library::Base => base::open(ctx)?,
            Library::Coroutine => coroutine::open(ctx)?,
            Library::Io => io::open(ctx)?,
            Library::Debug => debug::open(ctx, input)?,
            Library::Math => math::open(ctx)?,
            Library::Os => os::open(ctx)?,
            Library::Package => package::open(ctx)?,
            Library::String => string::open(ctx)?,
            Library::Table => table::open(ctx)?,
            Library::Utf8 => utf8::open(ctx)?,
        };
        if library == Library::Io {
            input = table.get_str(ctx, ctx.str("stdin")?);
        }
        set_field(ctx, ctx.state.globals, library.name(), table)?;
        set_field(ctx, ctx.state.loaded, library.name(), table)?;
        if access == Access::Safe {
            keep_safe(ctx, table, library)?;
        }
    }
    Ok(())
}

/// Takes those functions out of a library's table that a script which is not trusted must not have.
fn keep_safe<'gc>(
    ctx: Ctx<'gc>,
    table: Gc<'gc, Table<'gc>>,
    library: Library,
) -> Result<(), NoMemory> {
    let mut key = Value::Nil;
    // Assigning nil to a field does not disturb the traversal.
    while let Ok(Some((name, _))) = table.next(ctx, key) {
        key = name;
        if let Value::Str(text) = name
            && !library.is_safe(text.as_bytes())
        {
            table.set_str(ctx, text, Value::Nil)?;
        }
    }
    Ok(())
}

/// Puts functions into a table.
///
/// # Errors
///
/// If the heap has no memory for them.
pub fn install<'gc>(
    ctx: Ctx<'gc>,
    table: Gc<'gc, Table<'gc>>,
    functions: &'static [NativeDef],
) -> Result<(), NoMemory> {
    for def in functions {
        let function = Value::Native(new_native(ctx, def, &[])?);
        table.set_str(ctx, ctx.str(def.name)?, function)?;
    }
    Ok(())
}

/// Sets a field whose name is known at compile time.
///
/// # Errors
///
/// If the heap has no memory for it.
pub fn set_field<'gc>(
    ctx: Ctx<'gc>,
    table: Gc<'gc, Table<'gc>>,
    name: &str,
    value: impl Into<Value<'gc>>,
) -> Result<(), NoMemory> {
    table.set_str(ctx, ctx.str(name)?, value.into())
}
