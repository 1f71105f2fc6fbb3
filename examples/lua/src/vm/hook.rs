//! Hooks: when an event is due, and how it is reported.
//!
//! Events are detected where they happen, inside the region: [`trace`] before every instruction,
//! [`returning`] at returns of Lua functions, [`before_native`] and [`native_returned`] around
//! native ones. What is due is noted in the thread's [`Hook`], the loop is left with
//! [`Exit::Hook`], and the driver calls the hook, between two instructions, on the stack of the
//! thread, behind what it uses ([`Runner::report`]). So a hook may do whatever a function may,
//! except yield.
//!
//! A native function runs behind a frame of its own kind, [`FrameKind::Hooked`], that waits for its
//! results: the function itself stays at its place and can be seen while the return is reported, although
//! the results take the place of the one that has run.
//!
//! When a line begins, and what counts as an instruction, is as in PUC-Rio Lua (`luaG_traceexec`).

use heap_api::Gc;

use crate::bytecode::MULTI;
use crate::error::{Failure, Raised};
use crate::hook::{Due, Hook, HookMask, Transfer};
use crate::state::Ctx;
use crate::thread::{FrameKind, OnReturn, Thread};
use crate::value::Value;

use super::call::{perform, push_native};
use super::describe::proto_of;
use super::driver::Runner;
use super::raise::{free_slot, unwind};
use super::{Action, Exit};

/// What a hook is called for.
#[derive(Clone, Copy)]
enum Event {
    Call,
    TailCall,
    Return,
    Line,
    Count,
}

impl Event {
    fn name(self) -> &'static str {
        match self {
            Event::Call => "call",
            Event::TailCall => "tail call",
            Event::Return => "return",
            Event::Line => "line",
            Event::Count => "count",
        }
    }
}

/// The hook of a thread, if it is to be called for one of these events (HK2).
fn active_hook<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    mask: HookMask,
) -> Option<&'gc Hook<'gc>> {
    let hook = thread.hook()?.as_ref();
    let is_quiet = hook.is_running.get() || ctx.host.finalizers.is_running.get();
    (hook.mask.get().has(mask) && hook.is_set() && !is_quiet).then_some(hook)
}

// ---- inside the region ----

/// Before the instruction at `pc` of the running thread's last frame: why the loop is to be left, if it is,
/// because of events that are due or because the script has met its limit.
#[inline(never)]
pub(super) fn trace(ctx: Ctx<'_>, pc: usize) -> Option<Exit> {
    if is_due(ctx, pc) {
        return Some(Exit::Hook);
    }
    if ctx.host.limits.allows_instruction() {
        return None;
    }
    if let Some(frame) = ctx.state.thread.get().top_frame() {
        frame.pc.set(pc as u32);
    }
    Some(Exit::Instructions)
}

fn is_due(ctx: Ctx<'_>, pc: usize) -> bool {
    let thread = ctx.state.thread.get();
    let all = HookMask::CALL.with(HookMask::RETURN).with(HookMask::LINE).with(HookMask::COUNT);
    let Some(hook) = active_hook(ctx, thread, all) else { return false };
    if hook.is_passed.replace(false) {
        return false;
    }
    let Some((frame, proto)) =
        thread.top_frame().and_then(|frame| Some((frame, proto_of(thread, frame)?)))
    else {
        return false;
    };
    let (data, mask) = (&proto.data.0, hook.mask.get());
    let begins = pc == 0 && !hook.is_turn.replace(false);
    let (mut count, mut line) = (false, false);
    let depth = hook.last_depth.replace(thread.depth() as u32) as usize;
    if begins {
        hook.last_pc.set(0);
    } else if depth != thread.depth() {
        // A call has returned: the instruction before is the one that made it.
        hook.last_pc.set((pc as u32).saturating_sub(1));
    }
    if begins && data.is_vararg {
        // What comes next is a new line.
        hook.last_pc.set(1);
    } else {
        if mask.has(HookMask::COUNT) {
            hook.left.set(hook.left.get().saturating_sub(1));
            count = hook.left.get() == 0;
            if count {
                hook.left.set(hook.interval.get());
            }
        }
        if mask.has(HookMask::LINE) {
            let last = hook.last_pc.replace(pc as u32) as usize;
            let last = if last < data.code.len() { last } else { 0 };
            line = pc <= last || data.line_info.get(last) != data.line_info.get(pc);
        }
    }
    let call = begins && mask.has(HookMask::CALL);
    if !(call || count || line) {
        return false;
    }
    frame.pc.set(pc as u32);
    hook.due.set(Due::Instruction { call, count, line });
    true
}

/// The running function has jumped back to its first instruction.
#[cold]
pub(super) fn note_turn(ctx: Ctx<'_>) {
    if let Some(hook) = ctx.state.thread.get().hook() {
        hook.as_ref().is_turn.set(true);
    }
}

/// The instruction at which the running thread is has found no memory and runs again (HK1).
pub(super) fn note_repetition(ctx: Ctx<'_>) {
    if let Some(hook) = ctx.state.thread.get().hook() {
        hook.as_ref().is_passed.set(true);
    }
}

/// The last frame, a Lua function, is about to return values: whether that is to be reported, and the loop
/// to be left. The driver goes on with the return.
#[inline(never)]
pub(super) fn returning(ctx: Ctx<'_>, from: usize, count: usize) -> bool {
    let thread = ctx.state.thread.get();
    let Some(hook) = active_hook(ctx, thread, HookMask::RETURN) else { return false };
    hook.due.set(Due::Return { from: from as u32, count: count as u32 });
    thread.top.set((from + count) as u32);
    true
}

/// A native function at `func` is to be called: leaves that to the driver if it is to be reported.
#[cold]
pub(super) fn before_native<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    func: usize,
    count: usize,
    on_return: OnReturn,
) -> Result<Option<Action>, Failure<'gc>> {
    let mask = HookMask::CALL.with(HookMask::RETURN);
    let Some(hook) = active_hook(ctx, thread, mask) else { return Ok(None) };
    if hook.is_native_passed.replace(false) {
        return Ok(None);
    }
    // Room for the function that runs, behind the one that is seen.
    thread.reserve(ctx, func + 2 + count)?;
    push_native(ctx, thread, func, count, on_return)?;
    hook.due.set(Due::NativeCall);
    Ok(Some(Action::Leave(Exit::Hook)))
}

/// The native function behind the last frame, a [`FrameKind::Hooked`] one, has returned values.
pub(super) fn native_returned<'gc>(
    ctx: Ctx<'gc>,
    thread: Gc<'gc, Thread<'gc>>,
    from: usize,
    count: usize,
) -> Action {
    if let Some(hook) = active_hook(ctx, thread, HookMask::RETURN) {
        hook.due.set(Due::NativeReturn { from: from as u32, count: count as u32 });
        thread.top.set((from + count) as u32);
        return Action::Leave(Exit::Hook);
    }
    return_from_last(thread, from, count)
}

/// The native function whose frame is the last has returned nothing: whether that is to be reported,
/// although its call was not. It may have been the one that has set the hook.
pub(super) fn returns_unreported(ctx: Ctx<'_>, func: usize) -> bool {
    let thread = ctx.state.thread.get();
    let mut frames = (0..thread.depth()).rev().map(|index| thread.frame(index).kind.get());
    if frames.nth(1) == Some(FrameKind::Hooked) {
        return false;
    }
    let Some(hook) = active_hook(ctx, thread, HookMask::RETURN) else { return false };
    hook.due.set(Due::NativeReturn { from: func as u32 + 1, count: 0 });
    true
}

/// Drops the last frame, whose function returns these values.
fn return_from_last<'gc>(thread: Gc<'gc, Thread<'gc>>, from: usize, count: usize) -> Action {
    let Some(frame) = thread.top_frame() else { unreachable!("a function that returns is there") };
    thread.pop_frame();
    let (func, on_return) = (frame.func.get() as usize, frame.on_return.get());
    Action::Return { from, count, func, on_return }
}

// ---- in the driver ----

impl Runner<'_> {
    /// Reports what is due for the running thread, then goes on with what it was about to do.
    pub(super) fn report(&mut self) -> Option<Exit> {
        let (due, mask) = {
            let ctx = self.ctx();
            let Some(hook) = ctx.state.thread.get().hook() else {
                unreachable!("HK1: something is due")
            };
            (hook.as_ref().due.replace(Due::Nothing), hook.as_ref().mask.get())
        };
        let reported = match due {
            Due::Nothing => Ok(()),
            Due::Instruction { call, count, line } => self.report_instruction(call, count, line),
            Due::Return { from, count } => self.report_return(from, count),
            Due::NativeCall if mask.has(HookMask::CALL) => self.report_native_call(),
            Due::NativeCall => Ok(()),
            Due::NativeReturn { from, count } => self.report_native_return(from, count),
        };
        let ctx = self.ctx();
        let thread = ctx.state.thread.get();
        if reported.is_err() {
            return perform(ctx, unwind(ctx));
        }
        match due {
            Due::Nothing => None,
            Due::Instruction { .. } => {
                note_repetition(ctx);
                None
            }
            Due::Return { from, count } | Due::NativeReturn { from, count } => {
                perform(ctx, return_from_last(thread, from as usize, count as usize))
            }
            Due::NativeCall => perform(ctx, call_native_behind(ctx, thread)),
        }
    }

    fn report_instruction(&mut self, call: bool, count: bool, line: bool) -> Result<(), Raised> {
        let ctx = self.ctx();
        let thread = ctx.state.thread.get();
        let Some(frame) = thread.top_frame() else { unreachable!("an instruction has a frame") };
        let pc = frame.pc.get();
        let Some(proto) = proto_of(thread, frame) else { unreachable!("that of a Lua function") };
        let data = &proto.data.0;
        let (params, is_vararg) = (data.num_params, data.is_vararg);
        let event = if frame.is_tail_call() { Event::TailCall } else { Event::Call };
        let number = data.line_info.get(pc as usize).copied();
        // The frame of a function that runs says which instruction is next.
        frame.pc.set(pc + 1 + u32::from(call && is_vararg));
        let depth = thread.depth();
        let mut result = Ok(());
        if call {
            result = self.call_hook(event, None, Some((1, params.into())));
            self.ctx().state.thread.get().frame(depth - 1).pc.set(pc + 1);
        }
        if count && result.is_ok() {
            result = self.call_hook(Event::Count, None, None);
        }
        if line && result.is_ok() {
            result = self.call_hook(Event::Line, number, None);
        }
        if result.is_ok() {
            self.ctx().state.thread.get().frame(depth - 1).pc.set(pc);
        }
        result
    }

    fn report_return(&mut self, from: u32, count: u32) -> Result<(), Raised> {
        let ctx = self.ctx();
        let Some(frame) = ctx.state.thread.get().top_frame() else {
            unreachable!("a function that returns is there")
        };
        let first = from + 1 - frame.base.get();
        self.call_hook(Event::Return, None, Some((first, count)))
    }

    fn report_native_call(&mut self) -> Result<(), Raised> {
        let ctx = self.ctx();
        let Some(frame) = ctx.state.thread.get().top_frame() else {
            unreachable!("a native function that is called is there")
        };
        let count = frame.base.get() - frame.func.get() - 1;
        self.call_hook(Event::Call, None, Some((1, count)))
    }

    /// The results take the place of arguments for `debug.getlocal`.
    fn report_native_return(&mut self, from: u32, count: u32) -> Result<(), Raised> {
        let ctx = self.ctx();
        let Some(frame) = ctx.state.thread.get().top_frame() else {
            unreachable!("a native function that returns is there")
        };
        frame.kind.set(FrameKind::Native);
        frame.base.set(from + count);
        let first = from - frame.func.get();
        self.call_hook(Event::Return, None, Some((first, count)))
    }

    /// Calls the running thread's hook, if it still has one for such an event.
    fn call_hook(
        &mut self,
        event: Event,
        line: Option<u32>,
        transfer: Option<(u32, u32)>,
    ) -> Result<(), Raised> {
        let wanted = match event {
            Event::Call | Event::TailCall => HookMask::CALL,
            Event::Return => HookMask::RETURN,
            Event::Line => HookMask::LINE,
            Event::Count => HookMask::COUNT,
        };
        let (func, top) = {
            let ctx = self.ctx();
            let thread = ctx.state.thread.get();
            let Some(hook) = active_hook(ctx, thread, wanted) else { return Ok(()) };
            let frame = thread.depth() as u32 - 1;
            let transfer = transfer.filter(|(_, count)| *count > 0);
            hook.transfer.set(transfer.map(|(first, count)| Transfer { frame, first, count }));
            (free_slot(thread), thread.top.get())
        };
        self.push_entry(FrameKind::Hook, func, 2)?;
        let prepared = self.enter(|ctx| {
            let thread = ctx.state.thread.get();
            let name = Value::Str(ctx.str(event.name())?);
            let Some(hook) = thread.hook() else { unreachable!("found above") };
            hook.as_ref().is_running.set(true);
            thread.slot(func).set(ctx.cx, hook.as_ref().function.get());
            thread.slot(func + 1).set(ctx.cx, name);
            let line = line.map_or(Value::Nil, |line| Value::Int(line.into()));
            thread.slot(func + 2).set(ctx.cx, line);
            Ok(())
        });
        let result = match prepared {
            Ok(()) => self.run_call(func, 2).map(drop),
            Err(raised) => {
                let thread = self.ctx().state.thread.get();
                thread.pop_frame();
                thread.entries.set(thread.entries.get() - 1);
                Err(raised)
            }
        };
        let thread = self.ctx().state.thread.get();
        if let Some(hook) = thread.hook() {
            hook.as_ref().is_running.set(false);
            hook.as_ref().transfer.set(None);
        }
        thread.top.set(top);
        result
    }
}

/// The native function whose frame is the last has been reported: calls it, one slot further up.
fn call_native_behind<'gc>(ctx: Ctx<'gc>, thread: Gc<'gc, Thread<'gc>>) -> Action {
    let Some(frame) = thread.top_frame() else { unreachable!("the frame is still there") };
    let func = frame.func.get() as usize;
    let count = frame.base.get() as usize - func - 1;
    for i in (0..=count).rev() {
        thread.slot(func + 1 + i).set(ctx.cx, thread.slot(func + i).get());
    }
    frame.kind.set(FrameKind::Hooked);
    frame.base.set(func as u32 + 1);
    thread.top.set(0);
    skip_native(ctx);
    Action::Call { func: func + 1, count, on_return: OnReturn::Store(MULTI) }
}

/// The next native function that is called has been reported (HK1).
pub(super) fn skip_native(ctx: Ctx<'_>) {
    let thread = ctx.state.thread.get();
    let mask = HookMask::CALL.with(HookMask::RETURN);
    if let Some(hook) = active_hook(ctx, thread, mask) {
        hook.is_native_passed.set(true);
    }
}
