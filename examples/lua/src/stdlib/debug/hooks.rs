//! `debug.sethook` and `debug.gethook`.

use crate::hook::HookMask;
use crate::native::{Call, NativeResult, Raised};
use crate::value::{Type, Value};
use crate::vm::Task;

use super::level::thread_argument;

/// A slow body, so that the driver chooses the copy of the interpreter loop anew afterwards.
pub(super) fn sethook(task: &mut Task<'_>) -> Result<usize, Raised> {
    task.enter(|call| {
        let (thread, first) = thread_argument(call);
        let function = call.arg(first);
        let (mask, interval) = if function.is_nil() {
            (HookMask::default(), 0)
        } else {
            let letters = call.string(first + 1)?;
            if function.ty() != Type::Function {
                return Err(call.type_error(first, "function"));
            }
            // A C `int`, as in real Lua.
            let interval = u32::try_from(call.opt_int(first + 2, 0)? as i32).unwrap_or(0);
            let mask = HookMask::from_letters(letters.as_bytes());
            (if interval > 0 { mask.with(HookMask::COUNT) } else { mask }, interval)
        };
        let function = if mask == HookMask::default() { Value::Nil } else { function };
        call.ctx.host.hooks.set(call.ctx, thread, function, mask, interval)?;
        Ok(0)
    })
}

pub(super) fn gethook<'gc>(call: &Call<'gc>) -> NativeResult<'gc> {
    let (thread, _) = thread_argument(call);
    match thread.hook().map(|hook| hook.as_ref()).filter(|hook| hook.has_events()) {
        Some(hook) => {
            let letters = Value::Str(call.ctx.str(hook.mask.get().letters())?);
            call.ret_all(&[hook.function.get(), letters, Value::Int(hook.interval.get().into())])
        }
        None => call.ret(Value::Nil),
    }
}
