//! The stack traceback, in the format of real Lua.

use core::fmt::Write;

use heap_api::Gc;

use crate::compiler::{chunk_id, describe_call};
use crate::state::Ctx;
use crate::thread::{Frame, FrameKind, Thread};
use crate::value::Value;

use super::describe::{current_pc, proto_of};
use super::raise::function_frames;

/// Levels shown at the top and at the bottom of a long traceback.
const FIRST: usize = 10;
const LAST: usize = 11;

/// The name of a function that a loaded module has: "string.rep", "print".
pub(super) fn global_name<'gc>(ctx: Ctx<'gc>, function: Value<'gc>) -> Option<String> {
    let mut module = Value::Nil;
    while let Ok(Some((name, table))) = ctx.state.loaded.next(module) {
        module = name;
        let (Value::Str(name), Value::Table(table)) = (name, table) else { continue };
        let mut key = Value::Nil;
        while let Ok(Some((field, value))) = table.next(key) {
            key = field;
            if let Value::Str(field) = field
                && value.raw_equal(function)
            {
                let (name, field) = (name.to_text(), field.to_text());
                return Some(if name == "_G" { field } else { format!("{name}.{field}") });
            }
        }
    }
    None
}

/// "function 'f'", "main chunk" and the like.
fn function_name<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    frame: &Frame,
    caller: Option<&Frame>,
) -> String {
    let function = thread.slot(frame.func.get() as usize).get();
    if let Some(name) = global_name(ctx, function) {
        return format!("function '{name}'");
    }
    let called_as =
        caller.filter(|_| !(frame.kind.get() == FrameKind::LuaTail)).and_then(|caller| {
            let proto = proto_of(thread, caller)?;
            describe_call(&proto.data.0, current_pc(caller))
        });
    if let Some((kind, name)) = called_as {
        return format!("{kind} '{name}'");
    }
    match proto_of(thread, frame) {
        Some(proto) if proto.data.0.line_defined == 0 => "main chunk".to_owned(),
        Some(proto) => {
            let data = &proto.data.0;
            format!("function <{}:{}>", chunk_id(&data.source), data.line_defined)
        }
        None => "?".to_owned(),
    }
}

/// Describes the calls of a thread from `level` on (0 is the innermost).
#[must_use]
pub fn traceback<'gc>(ctx: Ctx<'gc>, thread: Gc<'gc, Thread<'gc>>, level: usize) -> String {
    let mut text = "stack traceback:".to_owned();
    let total = function_frames(thread).count().saturating_sub(level);
    let is_main = thread.ptr_eq(ctx.state.main_thread);
    // Real Lua counts the C function that runs the script.
    let shown_total = total + usize::from(is_main);
    let skipped = if shown_total > FIRST + LAST { FIRST..shown_total - LAST } else { 0..0 };
    let mut frames = function_frames(thread).skip(level).enumerate().peekable();
    while let Some((index, frame)) = frames.next() {
        if skipped.contains(&index) {
            if index == skipped.start {
                let count = skipped.len();
                let _ = write!(text, "\n\t...\t(skipping {count} levels)");
            }
            continue;
        }
        let place = match proto_of(thread, frame) {
            Some(proto) => {
                let data = &proto.data.0;
                let line = data.line_info.get(current_pc(frame)).copied().unwrap_or(0);
                format!("{}:{line}:", chunk_id(&data.source))
            }
            None => "[C]:".to_owned(),
        };
        // A native caller has no instruction that could name the callee.
        let name = function_name(ctx, thread, frame, frames.peek().map(|next| next.1));
        let _ = write!(text, "\n\t{place} in {name}");
        if frame.kind.get() == FrameKind::LuaTail {
            text.push_str("\n\t(...tail calls...)");
        }
    }
    if is_main {
        text.push_str("\n\t[C]: in ?");
    }
    text
}
