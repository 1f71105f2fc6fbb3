//! [`Level`]: a call on the stack of some thread, as scripts number them.

use heap_api::Gc;

use crate::error::Failure;
use crate::function::new_native;
use crate::hook::Transfer;
use crate::native::{Call, NativeDef};
use crate::thread::{Frame, FrameKind, Thread};
use crate::value::Value;
use crate::vm;

/// The thread that a function of the library looks at, and the number of its next argument: its first
/// one may be a thread.
pub(super) fn thread_argument<'gc>(call: &Call<'gc>) -> (Gc<'gc, Thread<'gc>>, usize) {
    match call.arg(0) {
        Value::Thread(thread) => (thread, 1),
        _ => (call.thread, 0),
    }
}

/// A call.
#[derive(Clone, Copy)]
pub(super) enum Level<'gc> {
    /// That of the library's function itself, which has no frame.
    Running(Value<'gc>),
    /// The frame with this index.
    Frame(Gc<'gc, Thread<'gc>>, usize),
    /// That of the program around the interpreter, of which real Lua sees one C function: this one.
    Host(Value<'gc>),
}

/// What scripts see of the host.
static HOST: NativeDef = NativeDef::fast("?", |call| call.ret_none());

impl<'gc> Level<'gc> {
    /// The level whose number is argument `i`, if there is one.
    pub(super) fn from_argument(
        call: &Call<'gc>,
        thread: Gc<'gc, Thread<'gc>>,
        i: usize,
    ) -> Result<Option<Level<'gc>>, Failure<'gc>> {
        // A C `int`, as in real Lua.
        let level = i64::from(call.int(i)? as i32);
        let running = call.frameless().filter(|_| thread.ptr_eq(call.thread));
        if let (Some(function), 0) = (running, level) {
            return Ok(Some(Level::Running(function)));
        }
        let Ok(level) = usize::try_from(level - i64::from(running.is_some())) else {
            return Ok(None);
        };
        if let Some(index) = vm::function_levels(thread).nth(level) {
            return Ok(Some(Level::Frame(thread, index)));
        }
        let is_host =
            vm::has_host_level(call.ctx, thread) && vm::function_levels(thread).count() == level;
        Ok(if is_host { Some(Level::Host(host_function(call)?)) } else { None })
    }

    /// The function.
    pub(super) fn function(self) -> Value<'gc> {
        match self {
            Level::Running(function) | Level::Host(function) => function,
            Level::Frame(thread, index) => {
                thread.slot(thread.frame(index).func.get() as usize).get()
            }
        }
    }

    /// Its frame.
    pub(super) fn frame(self) -> Option<&'gc Frame> {
        match self {
            Level::Running(_) | Level::Host(_) => None,
            Level::Frame(thread, index) => Some(thread.frame(index)),
        }
    }

    /// Its arguments or results, while its call or return is reported to a hook.
    pub(super) fn transfer(self) -> Option<Transfer> {
        let Level::Frame(thread, index) = self else { return None };
        let transfer = thread.hook()?.as_ref().transfer.get()?;
        (transfer.frame as usize == index).then_some(transfer)
    }

    /// What its caller called it by: the kind of the name, and the name.
    pub(super) fn name(self, call: &Call<'gc>) -> Option<(String, String)> {
        let (thread, caller) = match self {
            Level::Host(_) => return None,
            Level::Running(_) => (call.thread, vm::function_levels(call.thread).next()?),
            Level::Frame(thread, index) => {
                if thread.frame(index).is_tail_call() {
                    return None;
                }
                let below = index.checked_sub(1).map(|below| thread.frame(below).kind.get());
                let named = match below {
                    Some(FrameKind::Finalizer) => Some(("metamethod", "__gc")),
                    Some(FrameKind::Hook) => Some(("hook", "?")),
                    _ => None,
                };
                if let Some((kind, name)) = named {
                    return Some((kind.to_owned(), name.to_owned()));
                }
                (thread, vm::function_levels(thread).find(|caller| *caller < index)?)
            }
        };
        vm::name_of_call(thread, thread.frame(caller))
    }
}

/// The host's function, which is always the same.
fn host_function<'gc>(call: &Call<'gc>) -> Result<Value<'gc>, Failure<'gc>> {
    let known = &call.ctx.state.host_function;
    if known.get().is_nil() {
        known.set(call.ctx.cx, Value::Native(new_native(call.ctx, &HOST, &[])?));
    }
    Ok(known.get())
}
