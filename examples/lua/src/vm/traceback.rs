//! The stack traceback, in the format of real Lua.

use core::fmt::Write;

use heap_api::Gc;

use crate::compiler::{chunk_id, describe_call};
use crate::function::Proto;
use crate::state::Ctx;
use crate::thread::{Frame, FrameKind, Thread};
use crate::value::Value;

use super::describe::{current_pc, proto_of};
use super::raise::function_levels;

/// Levels shown at the top and at the bottom of a long traceback.
const FIRST: usize = 10;
const LAST: usize = 11;

/// The name of a function that a loaded module has: "string.rep", "print".
pub(super) fn global_name<'gc>(ctx: Ctx<'gc>, function: Value<'gc>) -> Option<String> {
    find_in_modules(ctx, |value, name| value.raw_equal(function).then(name))
}

/// Calls `look` with each loaded module and each value of one under a string key, and with what gives its
/// full name, until it returns something.
pub(super) fn find_in_modules<'gc, R>(
    ctx: Ctx<'gc>,
    mut look: impl FnMut(Value<'gc>, &dyn Fn() -> String) -> Option<R>,
) -> Option<R> {
    let mut module = Value::Nil;
    while let Ok(Some((name, table))) = ctx.state.loaded.next(ctx, module) {
        module = name;
        let Value::Str(name) = name else { continue };
        let found = look(table, &|| name.to_text());
        if found.is_some() {
            return found;
        }
        let Value::Table(table) = table else { continue };
        let mut key = Value::Nil;
        while let Ok(Some((field, value))) = table.next(ctx, key) {
            key = field;
            let Value::Str(field) = field else { continue };
            let full_name = || match name.to_text() {
                module if module == "_G" => field.to_text(),
                module => format!("{module}.{}", field.to_text()),
            };
            let found = look(value, &full_name);
            if found.is_some() {
                return found;
            }
        }
    }
    None
}

/// The caller of a function.
#[derive(Clone, Copy)]
enum Caller<'a> {
    Frame(&'a Frame),
    /// The function is a finalizer.
    Collector,
    /// The function is a hook.
    Hook,
    Unknown,
}

/// "function 'f'", "main chunk" and the like.
fn function_name<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    function: Value<'gc>,
    proto: Option<&Proto<'gc>>,
    caller: Caller<'_>,
) -> String {
    if let Some(name) = global_name(ctx, function) {
        return format!("function '{name}'");
    }
    match caller {
        Caller::Collector => return "metamethod '__gc'".to_owned(),
        Caller::Hook => return "hook '?'".to_owned(),
        Caller::Frame(caller) => {
            let called_as = proto_of(thread, caller)
                .and_then(|proto| describe_call(&proto.data.0, current_pc(caller)));
            if let Some((kind, name)) = called_as {
                return format!("{kind} '{name}'");
            }
        }
        Caller::Unknown => {}
    }
    match proto {
        Some(proto) if proto.data.0.line_defined == 0 => "main chunk".to_owned(),
        Some(proto) => {
            let data = &proto.data.0;
            format!("function <{}:{}>", chunk_id(&data.source), data.line_defined)
        }
        None => "?".to_owned(),
    }
}

/// An entry of a traceback.
enum Level<'a> {
    /// A native function that runs without a frame.
    Frameless,
    /// With its index.
    Frame(usize, &'a Frame),
    /// The program around the interpreter, of which real Lua sees one C function.
    Host,
}

/// Whether the host is the last level of a thread: scripts start in the main one, and no script runs when the
/// last finalizers do.
#[must_use]
pub fn has_host_level<'gc>(ctx: Ctx<'gc>, thread: Gc<'gc, Thread<'gc>>) -> bool {
    thread.ptr_eq(ctx.state.main_thread) && !ctx.host.finalizers.is_closing.get()
}

/// Describes the calls of a thread from `level` on. 0 is the innermost: the native function
/// `running` if it has no frame, else the last frame. No level is below 0.
#[must_use]
pub fn traceback<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    running: Option<Value<'gc>>,
    level: i32,
) -> String {
    let mut text = "stack traceback:".to_owned();
    let Ok(level) = usize::try_from(level) else { return text };
    let levels = || {
        let frames = function_levels(thread).map(|index| Level::Frame(index, thread.frame(index)));
        let host = has_host_level(ctx, thread).then_some(Level::Host);
        running.map(|_| Level::Frameless).into_iter().chain(frames).chain(host).skip(level)
    };
    let total = levels().count();
    let skipped = if total > FIRST + LAST + 1 { FIRST..total - LAST } else { 0..0 };
    let mut levels = levels().enumerate().peekable();
    while let Some((index, level)) = levels.next() {
        if skipped.contains(&index) {
            if index == skipped.start {
                // Real Lua does not count the level in whose place this line is.
                let count = skipped.len() - 1;
                let _ = write!(text, "\n\t...\t(skipping {count} levels)");
            }
            continue;
        }
        let (function, frame) = match (level, running) {
            (Level::Frame(index, frame), _) => {
                (thread.slot(frame.func.get() as usize).get(), Some((index, frame)))
            }
            (Level::Frameless, Some(function)) => (function, None),
            (Level::Host | Level::Frameless, _) => {
                text.push_str("\n\t[C]: in ?");
                continue;
            }
        };
        // A native caller has no instruction that could name the callee.
        let caller = match levels.peek() {
            Some((_, Level::Frame(_, caller))) => Some(*caller),
            _ => None,
        };
        let below = frame.and_then(|(index, _)| index.checked_sub(1));
        let below = below.map(|below| thread.frame(below).kind.get());
        let frame = frame.map(|(_, frame)| frame);
        let proto = frame.and_then(|frame| proto_of(thread, frame));
        let place = match (proto, frame) {
            (Some(proto), Some(frame)) => {
                let data = &proto.data.0;
                let line = data.line_info.get(current_pc(frame)).copied().unwrap_or(0);
                format!("{}:{line}:", chunk_id(&data.source))
            }
            _ => "[C]:".to_owned(),
        };
        let is_tail_call = frame.is_some_and(|frame| frame.kind.get() == FrameKind::LuaTail);
        let caller = caller.filter(|_| !is_tail_call);
        let caller = match below {
            Some(FrameKind::Finalizer) => Caller::Collector,
            Some(FrameKind::Hook) => Caller::Hook,
            _ => caller.map_or(Caller::Unknown, Caller::Frame),
        };
        let name = function_name(ctx, thread, function, proto, caller);
        let _ = write!(text, "\n\t{place} in {name}");
        if is_tail_call {
            text.push_str("\n\t(...tail calls...)");
        }
    }
    text
}
