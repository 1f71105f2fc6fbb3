//! The `coroutine` library. Resuming, yielding and closing are the interpreter loop's business
//! ([`Control`]); the rest is here.

use heap_api::Gc;

use crate::error::{Failure, NoMemory};
use crate::function::new_native;
use crate::hook::Hook;
use crate::native::{Call, Control, NativeDef, NativeResult};
use crate::state::Ctx;
use crate::table::Table;
use crate::thread::Thread;
use crate::value::{Type, Value};

use super::install;

static WRAPPED: NativeDef = NativeDef::control("wrap", Control::Wrapped);

static FUNCTIONS: &[NativeDef] = &[
    NativeDef::control("close", Control::Close),
    NativeDef::fast("create", create),
    NativeDef::fast("isyieldable", is_yieldable),
    NativeDef::control("resume", Control::Resume),
    NativeDef::fast("running", running),
    NativeDef::fast("status", status),
    NativeDef::fast("wrap", wrap),
    NativeDef::control("yield", Control::Yield),
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

/// A new coroutine for the function argument.
fn new_thread<'gc>(call: &Call<'gc>) -> Result<Gc<'gc, Thread<'gc>>, Failure<'gc>> {
    let function = call.arg(0);
    if function.ty() != Type::Function {
        return Err(call.type_error(0, "function"));
    }
    let hook = Hook::inherited(call.ctx.cx, call.thread)?;
    let thread = Thread::coroutine(call.ctx.cx, function)?;
    if let Some(hook) = hook {
        thread.set_hook(call.ctx.cx, hook);
    }
    Ok(thread)
}

fn thread_argument<'gc>(call: &Call<'gc>) -> Result<Gc<'gc, Thread<'gc>>, Failure<'gc>> {
    match call.arg(0) {
        Value::Thread(thread) => Ok(thread),
        _ => Err(call.type_error(0, "thread")),
    }
}

fn create<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let thread = new_thread(call)?;
    call.ret(Value::Thread(thread))
}

fn wrap<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let thread = Value::Thread(new_thread(call)?);
    let function = new_native(call.ctx, &WRAPPED, &[thread])?;
    call.ret(Value::Native(function))
}

fn status<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let name = thread_argument(call)?.status.get().name();
    let name = call.ctx.str(name)?;
    call.ret(name)
}

fn running<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let is_main = call.thread.ptr_eq(call.ctx.state.main_thread);
    call.ret_all(&[Value::Thread(call.thread), Value::from(is_main)])
}

fn is_yieldable<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let thread = match call.arg(0) {
        Value::Thread(thread) => thread,
        _ => call.thread,
    };
    let is_main = thread.ptr_eq(call.ctx.state.main_thread);
    call.ret(!is_main && thread.entries.get() == 0)
}
