//! Dead registers: what a collection need not keep alive for a function that runs.
//!
//! A register above a function's variables holds whatever the last statements have left there. A
//! program that waits for an object to be collected must not itself keep the object alive that way,
//! so before a collection the driver clears registers that no instruction will read
//! ([`forget_temporaries`]). Only the last frame is looked at: those below it have a call at the
//! end of what they use.
//!
//! * LV1: a register is cleared only if it belongs to no variable, neither an open upvalue nor the
//!   list of variables to be closed refers to it, and every path from the next instruction on
//!   writes it before it reads it.
//!
//! The analysis is the usual backward one (Aho, Lam, Sethi, Ullman: Compilers, 9.2.5).

use heap_api::Gc;

use crate::bytecode::{Effect, Op, ProtoData, RegSet, UpvalSource};
use crate::compiler::first_temporary;
use crate::function::Proto;
use crate::state::Ctx;
use crate::thread::Thread;
use crate::value::Value;

use super::describe::proto_of;

/// A function with more instructions keeps its temporary values alive: the analysis would take longer
/// than a short collection.
const CODE_MAX: usize = 4000;

/// Forgets dead temporary values of the running thread's last frame (LV1).
pub(super) fn forget_temporaries(ctx: Ctx<'_>) {
    let thread = ctx.state.thread.get();
    let Some(frame) = thread.top_frame() else { return };
    let Some(proto) = proto_of(thread, frame) else { return };
    let (data, pc) = (&proto.data.0, frame.pc.get() as usize);
    // Without debug information it is not known where the variables are.
    if data.line_info.is_empty() || data.code.len() > CODE_MAX || pc >= data.code.len() {
        return;
    }
    let base = frame.base.get() as usize;
    let free = first_temporary(data, pc).index().max(first_kept(thread, base));
    let registers = free..data.max_stack as usize;
    let stack = thread.stack();
    if registers.clone().all(|register| stack[base + register].get().address().is_none()) {
        return;
    }
    let live = live_at(proto, pc);
    for register in registers.filter(|register| !live.contains(*register as u8)) {
        stack[base + register].set(ctx.cx, Value::Nil);
    }
}

/// The first register above all that open upvalues and variables to be closed refer to.
fn first_kept<'gc>(thread: Gc<'gc, Thread<'gc>>, base: usize) -> usize {
    let captured = thread.last_open_upval().map_or(0, |at| at + 1);
    let to_close = thread.to_close_from(0).map_or(0, |at| at + 1);
    captured.max(to_close).saturating_sub(base)
}

/// The registers that may be read from the instruction at `pc` on before they are written.
fn live_at(proto: &Proto<'_>, pc: usize) -> RegSet {
    let data = &proto.data.0;
    let mut live = vec![RegSet::EMPTY; data.code.len()];
    loop {
        let mut has_changed = false;
        for at in (0..data.code.len()).rev() {
            let before = live_before(proto, data, &live, at);
            has_changed |= before != live[at];
            live[at] = before;
        }
        if !has_changed {
            return live[pc];
        }
    }
}

fn live_before(proto: &Proto<'_>, data: &ProtoData, live: &[RegSet], at: usize) -> RegSet {
    let op = data.code[at];
    let effect = Effect::of(op);
    let after = |at: usize| live.get(at).copied().unwrap_or(RegSet::EMPTY);
    let mut next = match op {
        Op::TailCall { .. }
        | Op::Return { .. }
        | Op::Return0
        | Op::Return1 { .. }
        | Op::ReturnCloseAll { .. } => RegSet::EMPTY,
        Op::Jmp { offset } | Op::JmpBack { offset } | Op::TForPrep { offset, .. } => {
            after(offset.target(at))
        }
        _ => match op.offset() {
            Some(offset) => after(at + 1).union(after(offset.target(at))),
            None => after(at + 1),
        },
    };
    let mut written = effect.writes;
    if let Some(first) = effect.ruins_from.into_iter().chain(effect.writes_list_at).min() {
        written.insert_range(first..256);
    }
    next = next.difference(written).union(effect.reads);
    if let Some(first) = effect.reads_list_at {
        next.insert_range(first..256);
    }
    if let Op::Closure { proto: child, .. } = op {
        for upvalue in &proto.protos[child.0 as usize].data.0.upvalues {
            if let UpvalSource::ParentRegister(register) = upvalue.source {
                next.insert(register.0);
            }
        }
    }
    next
}
