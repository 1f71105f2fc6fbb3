//! The stack of a script, for allocation profiles.
//!
//! The heap calls the hook in the middle of an allocation. It reads the frames of the thread that
//! runs, then of the threads that wait for it; it allocates nothing in the heap and borrows nothing
//! of the interpreter's host, which the code around the allocation may have borrowed.
//!
//! A native function usually has no frame. If the innermost frame is at the call of one, that
//! function is the one that allocates; it is still in its register.

use std::collections::HashMap;
use std::sync::Arc;

use heap_api::{Cx, Frames, Gc, Root};

use crate::bytecode::Op;
use crate::compiler::chunk_id;
use crate::function::{NativeFn, Proto};
use crate::native::NativeDef;
use crate::state::{Ctx, State};
use crate::thread::{Frame, Thread};
use crate::value::Value;

use super::describe::{current_pc, name_of_call, proto_of};
use super::raise::function_frames;
use super::traceback::find_in_modules;

/// What is shown as the file of native functions, as in tracebacks.
const NATIVE_FILE: &str = "[C]";

/// The names of the native functions in loaded modules, such as `string.rep`.
#[derive(Debug, Default)]
pub struct NativeNames(HashMap<usize, String>);

impl NativeNames {
    /// The names of those that are loaded now.
    #[must_use]
    pub fn of_loaded(ctx: Ctx<'_>) -> NativeNames {
        let mut names = HashMap::new();
        let _: Option<()> = find_in_modules(ctx, |value, full_name| {
            if let Value::Native(function) = value {
                names.insert(address(function.header.def.0), full_name());
            }
            None
        });
        NativeNames(names)
    }

    fn get(&self, function: Gc<'_, NativeFn<'_>>) -> &str {
        self.0
            .get(&address(function.header.def.0))
            .map_or(function.header.def.0.name, String::as_str)
    }
}

fn address(def: &'static NativeDef) -> usize {
    std::ptr::from_ref(def).addr()
}

/// The hook for a context of the interpreter with this state.
pub fn stack_hook(
    state: Root<State<'static>>,
    names: Arc<NativeNames>,
) -> impl Fn(&Cx, &mut Frames) + 'static {
    move |cx, frames| {
        let mut thread = Some(state.get(cx).thread.get());
        while let Some(running) = thread.filter(|_| !frames.is_full()) {
            push_thread(running, &names, frames);
            thread = running.resumer.get();
        }
    }
}

/// The frames of a thread, the innermost first.
fn push_thread<'gc>(thread: Gc<'gc, Thread<'gc>>, names: &NativeNames, frames: &mut Frames) {
    let mut levels = function_frames(thread).peekable();
    if let Some(function) = levels.peek().and_then(|frame| frameless(thread, frame)) {
        frames.push(names.get(function), NATIVE_FILE, 0);
    }
    while let Some(frame) = levels.next().filter(|_| !frames.is_full()) {
        match proto_of(thread, frame) {
            Some(proto) => {
                let data = &proto.data.0;
                let line = data.line_info.get(current_pc(frame)).copied().unwrap_or(0);
                let called_as = levels.peek().and_then(|caller| name_of_call(thread, caller));
                let name = function_name(proto, called_as.map(|(_, name)| name));
                frames.push_function(&name, file(&data.source), line, data.line_defined);
            }
            None => match thread.slot(frame.func.get() as usize).get() {
                Value::Native(function) => frames.push(names.get(function), NATIVE_FILE, 0),
                _ => frames.push("?", NATIVE_FILE, 0),
            },
        }
    }
}

/// The native function that runs without a frame, if the innermost frame is at its call.
fn frameless<'gc>(thread: Gc<'gc, Thread<'gc>>, frame: &Frame) -> Option<Gc<'gc, NativeFn<'gc>>> {
    let proto = proto_of(thread, frame)?;
    let func = match proto.data.0.code.get(current_pc(frame))? {
        Op::Call { func, .. } | Op::TailCall { func, .. } => func.index(),
        // Iterator, state and control variable are copied to behind the four of the loop.
        Op::TForCall { base, .. } => base.index(),
        _ => return None,
    };
    match thread.slot(frame.base.get() as usize + func).get() {
        Value::Native(function) => Some(function),
        _ => None,
    }
}

/// The caller's name for the function, or the place of its definition: Lua's functions have no
/// names of their own.
fn function_name(proto: &Proto<'_>, called_as: Option<String>) -> String {
    let data = &proto.data.0;
    match called_as {
        _ if data.line_defined == 0 => "main chunk".to_owned(),
        Some(name) => name,
        None => format!("function <{}:{}>", chunk_id(&data.source), data.line_defined),
    }
}

/// The file that a chunk's name names, or the name in its readable form.
fn file(chunk_name: &str) -> &str {
    match chunk_name.as_bytes().first() {
        Some(b'@' | b'=') => &chunk_name[1..],
        _ => "[string]",
    }
}
