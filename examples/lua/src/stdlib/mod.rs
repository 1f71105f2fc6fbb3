//! The standard library: one file per library.
//!
//! Each has its functions in `static` slices of [`NativeDef`] and an `open` that makes the library's
//! table; [`open_all`] calls them once per interpreter. What is missing: hooks, and
//! loading of C modules.

pub mod base;
pub mod coroutine;
pub mod debug;
pub mod io;
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

/// Opens all libraries.
///
/// # Errors
///
/// If the heap has no memory for them.
pub fn open_all<'gc>(ctx: Ctx<'gc>) -> Result<(), NoMemory> {
    ctx.state.registry.set_int(ctx, 1, Value::Thread(ctx.state.main_thread))?;
    ctx.state.registry.set_int(ctx, 2, Value::Table(ctx.state.globals))?;
    base::open(ctx)?;
    let libraries = [
        ("coroutine", coroutine::open(ctx)?),
        ("debug", debug::open(ctx)?),
        ("io", io::open(ctx)?),
        ("math", math::open(ctx)?),
        ("os", os::open(ctx)?),
        ("package", package::open(ctx)?),
        ("string", string::open(ctx)?),
        ("table", table::open(ctx)?),
        ("utf8", utf8::open(ctx)?),
    ];
    for (name, table) in libraries {
        set_field(ctx, ctx.state.globals, name, table)?;
        set_field(ctx, ctx.state.loaded, name, table)?;
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
