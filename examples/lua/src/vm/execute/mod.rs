//! The interpreter loop.
//!
//! [`run`] executes the running thread's last frame, and those it calls and returns to, until there
//! is a reason to leave the region ([`Exit`]). What the loop knows about the frame is in [`Running`].
//!
//! An arm of the loop carries out its instruction if that is quickly done, and says so by a
//! [`Flow`]. Else it has done nothing, and [`general::carry_out`] carries out the instruction in
//! full, with metamethods, conversions and errors.
//!
//! * `frame.pc` is saved before anything that can fail, call, allocate (for the stacks of samples), or
//!   look at the frame.
//! * a safepoint is offered after instructions that allocate, at calls, and at back edges; never
//!   before an instruction has run, so that every entry makes progress.

mod access;
mod general;
mod operators;
mod outlined;
mod running;

use crate::bytecode::{Count, Op};
use crate::state::Ctx;
use crate::table::Table;
use crate::thread::OnReturn;
use crate::value::Value;

use super::call::store_results;
use super::{Exit, hook};
use access::{get_field, get_index, get_int, set_field, set_index, set_int};
use operators as op;
use running::Running;

/// The outcome of an arm of the loop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// The instruction is done.
    Next,
    /// The instruction is done, and after it may be a safepoint.
    Poll,
    /// As `Poll`, and frames or stack are others; `pc` is saved.
    Load,
    /// Nothing is done: the fast path does not apply.
    General,
    /// As `Load`; the driver is to go on.
    Leave(Exit),
}

/// Runs until there is a reason to stop.
///
/// `HOOKED`: whether threads may have hooks (see [`hook`]); the other copy of the loop does not ask.
pub(super) fn run<const HOOKED: bool>(ctx: Ctx<'_>) -> Exit {
    let flag = ctx.cx.poll_flag();
    loop {
        // EX2: whatever has ended the inner loop may have changed all of this.
        let mut running = Running::load(ctx);
        let flow = loop {
            if HOOKED && let Some(exit) = hook::trace(ctx, running.pc()) {
                return exit;
            }
            match step::<HOOKED>(ctx, &mut running) {
                Flow::Next => {}
                Flow::Poll if flag.is_raised() => {
                    running.save();
                    return Exit::Safepoint;
                }
                Flow::Poll => {}
                flow => break flow,
            }
        };
        let exit = match flow {
            Flow::Leave(exit) => Some(exit),
            Flow::Load => None,
            _ => {
                running.save();
                general::carry_out(ctx)
            }
        };
        match exit {
            Some(exit) => return exit,
            None if flag.is_raised() => return Exit::Safepoint,
            None => {}
        }
    }
}

/// The next instruction. If it is `HOOKED` it leaves calls of native functions and returns, which are
/// reported, to the general path.
#[inline(always)]
#[expect(clippy::too_many_lines, reason = "one match over all instructions")]
fn step<'gc, const HOOKED: bool>(ctx: Ctx<'gc>, running: &mut Running<'gc>) -> Flow {
    // The match reads from the code, it does not copy the instruction first: then each arm loads
    // just the operands it has.
    let r = running;
    match *r.fetch() {
        // ---- loads and moves ----
        Op::Move { dst, src } => r.put(dst, r.get(src)),
        Op::LoadI { dst, value } => r.put(dst, int(value)),
        Op::LoadK { dst, k } => r.put(dst, r.constant(k)),
        Op::LoadNil { first, count } => {
            for register in &r.cells_from(first)[..count as usize] {
                register.set(Value::Nil);
            }
            Flow::Next
        }
        Op::LoadFalse { dst } => r.put(dst, Value::False),
        Op::LoadTrue { dst } => r.put(dst, Value::True),

        // ---- upvalues and globals ----
        Op::GetUpval { dst, upval } => r.put(dst, r.upvalue(upval).get()),
        Op::SetUpval { upval, src } => {
            r.upvalue(upval).set(ctx, r.get(src));
            Flow::Next
        }
        Op::GetTabUp { dst, upval, key } => {
            get_field(ctx, r, r.cell(dst), r.upvalue(upval).get(), r.string(key))
        }
        Op::SetTabUp { upval, value, key } => {
            set_field(ctx, r, r.upvalue(upval).get(), r.string(key), r.get(value))
        }

        // ---- tables ----
        Op::GetIndex { dst, table, key } => {
            get_index(ctx, r, r.cell(dst), r.get(table), r.get(key))
        }
        Op::GetInt { dst, table, index } => get_int(r.cell(dst), r.get(table), index.into()),
        Op::GetField { dst, table, key } => {
            get_field(ctx, r, r.cell(dst), r.get(table), r.string(key))
        }
        Op::SetIndex { table, key, value } => {
            set_index(ctx, r, r.get(table), r.get(key), r.get(value))
        }
        Op::SetIndexK { table, key, value } => {
            set_index(ctx, r, r.get(table), r.get(key), r.constant(value))
        }
        Op::SetInt { table, value, index } => {
            set_int(ctx, r, r.get(table), index.into(), r.get(value))
        }
        Op::SetField { table, value, key } => {
            set_field(ctx, r, r.get(table), r.string(key), r.get(value))
        }
        Op::SetFieldK { table, key, value } => {
            set_field(ctx, r, r.get(table), r.string(key), r.constant(value))
        }
        Op::SelfField { dst, object, key } => {
            let object = r.get(object);
            r.set_after(dst.into(), 1, object);
            get_field(ctx, r, r.cell(dst), object, r.string(key))
        }
        Op::NewTable { dst, array, hash } => {
            r.save();
            let table = match (array, hash) {
                (0, 0) => Table::new(ctx),
                _ => Table::with_capacity(ctx, array as usize, hash as usize),
            };
            match table {
                Ok(table) => r.put_new(dst, Value::Table(table)),
                Err(_) => Flow::General,
            }
        }
        Op::SetList { table, count, first } => {
            let start = r.place(table) + 1;
            let count = r.list_len(start, count);
            r.save();
            outlined::set_list(ctx, r.get(table), &r.stack[start..start + count], first)
        }

        // ---- arithmetic on registers ----
        Op::Add { dst, lhs, rhs } => op::add(r.cell(dst), r.get(lhs), r.get(rhs)),
        Op::Sub { dst, lhs, rhs } => op::sub(r.cell(dst), r.get(lhs), r.get(rhs)),
        Op::Mul { dst, lhs, rhs } => op::mul(r.cell(dst), r.get(lhs), r.get(rhs)),
        Op::Div { dst, lhs, rhs } => op::div(r.cell(dst), r.get(lhs), r.get(rhs)),
        Op::IDiv { dst, lhs, rhs } => op::idiv(r.cell(dst), r.get(lhs), r.get(rhs)),
        Op::Mod { dst, lhs, rhs } => op::modulo(r.cell(dst), r.get(lhs), r.get(rhs)),
        Op::Pow { dst, lhs, rhs } => op::pow(r.cell(dst), r.get(lhs), r.get(rhs)),
        Op::BAnd { dst, lhs, rhs } => op::band(r.cell(dst), r.get(lhs), r.get(rhs)),
        Op::BOr { dst, lhs, rhs } => op::bor(r.cell(dst), r.get(lhs), r.get(rhs)),
        Op::BXor { dst, lhs, rhs } => op::bxor(r.cell(dst), r.get(lhs), r.get(rhs)),
        Op::Shl { dst, lhs, rhs } => op::shl(r.cell(dst), r.get(lhs), r.get(rhs)),
        Op::Shr { dst, lhs, rhs } => op::shr(r.cell(dst), r.get(lhs), r.get(rhs)),

        // ---- arithmetic with an immediate ----
        Op::AddI { dst, lhs, imm, .. } => op::add(r.cell(dst), r.get(lhs), int(imm)),
        Op::SubI { dst, lhs, imm } => op::sub(r.cell(dst), r.get(lhs), int(imm)),
        Op::MulI { dst, lhs, imm, .. } => op::mul(r.cell(dst), r.get(lhs), int(imm)),
        Op::DivI { dst, lhs, imm } => op::div(r.cell(dst), r.get(lhs), int(imm)),
        Op::IDivI { dst, lhs, imm } => op::idiv(r.cell(dst), r.get(lhs), int(imm)),
        Op::ModI { dst, lhs, imm } => op::modulo(r.cell(dst), r.get(lhs), int(imm)),
        Op::PowI { dst, lhs, imm } => op::pow(r.cell(dst), r.get(lhs), int(imm)),
        Op::BAndI { dst, lhs, imm, .. } => op::band(r.cell(dst), r.get(lhs), int(imm)),
        Op::BOrI { dst, lhs, imm, .. } => op::bor(r.cell(dst), r.get(lhs), int(imm)),
        Op::BXorI { dst, lhs, imm, .. } => op::bxor(r.cell(dst), r.get(lhs), int(imm)),
        Op::ShlI { dst, lhs, imm } => op::shl(r.cell(dst), r.get(lhs), int(imm)),
        Op::ShrI { dst, lhs, imm } => op::shr(r.cell(dst), r.get(lhs), int(imm)),

        // ---- arithmetic with a constant ----
        Op::AddK { dst, lhs, k, .. } => op::add(r.cell(dst), r.get(lhs), r.constant(k)),
        Op::SubK { dst, lhs, k } => op::sub(r.cell(dst), r.get(lhs), r.constant(k)),
        Op::MulK { dst, lhs, k, .. } => op::mul(r.cell(dst), r.get(lhs), r.constant(k)),
        Op::DivK { dst, lhs, k } => op::div(r.cell(dst), r.get(lhs), r.constant(k)),
        Op::IDivK { dst, lhs, k } => op::idiv(r.cell(dst), r.get(lhs), r.constant(k)),
        Op::ModK { dst, lhs, k } => op::modulo(r.cell(dst), r.get(lhs), r.constant(k)),
        Op::PowK { dst, lhs, k } => op::pow(r.cell(dst), r.get(lhs), r.constant(k)),
        Op::BAndK { dst, lhs, k, .. } => op::band(r.cell(dst), r.get(lhs), r.constant(k)),
        Op::BOrK { dst, lhs, k, .. } => op::bor(r.cell(dst), r.get(lhs), r.constant(k)),
        Op::BXorK { dst, lhs, k, .. } => op::bxor(r.cell(dst), r.get(lhs), r.constant(k)),

        // ---- unary ----
        Op::Unm { dst, src } => op::negate(r.cell(dst), r.get(src)),
        Op::BNot { dst, src } => op::complement(r.cell(dst), r.get(src)),
        Op::Not { dst, src } => r.put(dst, Value::from(r.get(src).is_falsy())),
        Op::Len { dst, src } => match r.get(src) {
            Value::Table(table) if table.metatable().is_none() => {
                r.put(dst, Value::Int(table.ordinary_length()))
            }
            Value::Str(text) => r.put(dst, Value::Int(text.len() as i64)),
            _ => Flow::General,
        },
        Op::Concat { .. } => {
            r.save();
            outlined::concatenate(ctx)
        }

        // ---- jumps and tests ----
        Op::Jmp { offset } => r.jump_if(true, offset),
        Op::JmpBack { offset } => {
            let flow = r.jump_back(offset);
            if HOOKED && r.pc() == 0 {
                hook::note_turn(ctx);
            }
            flow
        }
        Op::JmpIf { src, offset } => r.jump_if(!r.get(src).is_falsy(), offset),
        Op::JmpIfNot { src, offset } => r.jump_if(r.get(src).is_falsy(), offset),
        Op::MoveJmpIf { dst, src, offset } => {
            let value = r.get(src);
            if value.is_falsy() {
                return Flow::Next;
            }
            r.jump(offset);
            r.put(dst, value)
        }
        Op::MoveJmpIfNot { dst, src, offset } => {
            let value = r.get(src);
            if !value.is_falsy() {
                return Flow::Next;
            }
            r.jump(offset);
            r.put(dst, value)
        }

        // ---- comparisons ----
        Op::Eq { lhs, rhs, offset } => r.compare(op::equal(r.get(lhs), r.get(rhs)), true, offset),
        Op::NotEq { lhs, rhs, offset } => {
            r.compare(op::equal(r.get(lhs), r.get(rhs)), false, offset)
        }
        Op::EqK { lhs, k, offset } => {
            r.jump_if(op::equal_constant(r.get(lhs), r.constant(k)), offset)
        }
        Op::NotEqK { lhs, k, offset } => {
            r.jump_if(!op::equal_constant(r.get(lhs), r.constant(k)), offset)
        }
        Op::EqI { lhs, imm, offset } => r.jump_if(op::equal_int(r.get(lhs), imm), offset),
        Op::NotEqI { lhs, imm, offset } => r.jump_if(!op::equal_int(r.get(lhs), imm), offset),
        Op::Lt { lhs, rhs, offset } => r.compare(op::less(r.get(lhs), r.get(rhs)), true, offset),
        Op::NotLt { lhs, rhs, offset } => {
            r.compare(op::less(r.get(lhs), r.get(rhs)), false, offset)
        }
        Op::Le { lhs, rhs, offset } => {
            r.compare(op::less_or_equal(r.get(lhs), r.get(rhs)), true, offset)
        }
        Op::NotLe { lhs, rhs, offset } => {
            r.compare(op::less_or_equal(r.get(lhs), r.get(rhs)), false, offset)
        }
        Op::LtI { lhs, imm, offset } => r.compare(op::less(r.get(lhs), int(imm)), true, offset),
        Op::NotLtI { lhs, imm, offset } => r.compare(op::less(r.get(lhs), int(imm)), false, offset),
        Op::LeI { lhs, imm, offset } => {
            r.compare(op::less_or_equal(r.get(lhs), int(imm)), true, offset)
        }
        Op::NotLeI { lhs, imm, offset } => {
            r.compare(op::less_or_equal(r.get(lhs), int(imm)), false, offset)
        }
        Op::GtI { lhs, imm, offset } => r.compare(op::less(int(imm), r.get(lhs)), true, offset),
        Op::NotGtI { lhs, imm, offset } => r.compare(op::less(int(imm), r.get(lhs)), false, offset),
        Op::GeI { lhs, imm, offset } => {
            r.compare(op::less_or_equal(int(imm), r.get(lhs)), true, offset)
        }
        Op::NotGeI { lhs, imm, offset } => {
            r.compare(op::less_or_equal(int(imm), r.get(lhs)), false, offset)
        }

        // ---- calls ----
        Op::Call { func, args, results } => {
            let callee = r.get(func);
            let func = r.place(func);
            let count = r.list_len(func + 1, args);
            call::<HOOKED>(ctx, r, callee, func, count, results)
        }
        Op::TailCall { func, args, close } => {
            if close {
                r.thread.close_upvals(ctx, r.base());
            }
            let callee = r.get(func);
            let func = r.place(func);
            let count = r.list_len(func + 1, args);
            match callee {
                Value::Function(closure) if r.enter_in_place(closure, func, count) => Flow::Poll,
                Value::Native(native) if !HOOKED && r.returns_to_lua() => {
                    r.save();
                    let at = (func, count);
                    match outlined::call_native(ctx, r.thread, r.stack, native, at, OnReturn::Tail)
                    {
                        Ok(results) => r.leave_with(func, results),
                        Err(flow) => flow,
                    }
                }
                _ => {
                    r.save();
                    outlined::call_in_place(ctx, func, count)
                }
            }
        }
        Op::Return { first, count, close } => {
            if close {
                r.thread.close_upvals(ctx, r.base());
            }
            if HOOKED {
                return Flow::General;
            }
            let from = r.place(first);
            let count = r.list_len(from, count);
            r.leave_with(from, count)
        }
        Op::Return0 | Op::Return1 { .. } if HOOKED => Flow::General,
        Op::Return0 => r.leave_with(0, 0),
        Op::Return1 { src } => r.leave_with_one(src),
        Op::VarArgPrep { .. } => Flow::Next,
        Op::Closure { dst, proto } => {
            let proto = r.proto().protos[proto.0 as usize];
            r.save();
            match outlined::close_over(ctx, proto) {
                Ok(closure) => r.put_new(dst, Value::Function(closure)),
                Err(_) => Flow::General,
            }
        }
        Op::VarArg { dst, count } => {
            let to = r.place(dst);
            outlined::copy_varargs(r.stack, &r.thread.top, r.frame, r.data().num_params, to, count)
        }
        Op::Close { from } => {
            r.thread.close_upvals(ctx, r.place(from));
            Flow::Next
        }
        Op::ReturnCloseAll { .. } | Op::MarkToClose { .. } | Op::CloseAll { .. } => Flow::General,

        // ---- loops ----
        Op::ForPrep { base, offset } => {
            let (Value::Int(first), Value::Int(limit), Value::Int(step)) =
                (r.get(base), r.get_after(base, 1), r.get_after(base, 2))
            else {
                return Flow::General;
            };
            let further = match step {
                1 => limit.wrapping_sub(first),
                -1 => first.wrapping_sub(limit),
                _ => return Flow::General,
            };
            if if step > 0 { first > limit } else { first < limit } {
                return r.jump_if(true, offset);
            }
            r.set_after(base, 1, Value::Int(further));
            r.set_after(base, 3, Value::Int(first));
            Flow::Next
        }
        // The values of a loop are all integers or all floats, unless `debug.setlocal` has changed them:
        // that ends it.
        Op::ForLoop { base, offset } => match r.get_after(base, 2) {
            Value::Int(step) => {
                let (Value::Int(left), Value::Int(at)) = (r.get_after(base, 1), r.get(base)) else {
                    return Flow::Next;
                };
                if left == 0 {
                    return Flow::Next;
                }
                let next = Value::Int(at.wrapping_add(step));
                r.set_after(base, 1, Value::Int(left.wrapping_sub(1)));
                r.set_after(base, 0, next);
                r.set_after(base, 3, next);
                r.jump_back(offset)
            }
            step => {
                let (Value::Float(step), Value::Float(limit), Value::Float(at)) =
                    (step, r.get_after(base, 1), r.get(base))
                else {
                    return Flow::Next;
                };
                let (next, step, limit) = (at.get() + step.get(), step.get(), limit.get());
                let goes_on = if step > 0.0 { next <= limit } else { next >= limit };
                if !goes_on {
                    return Flow::Next;
                }
                r.set_after(base, 0, Value::float(next));
                r.set_after(base, 3, Value::float(next));
                r.jump_back(offset)
            }
        },
        Op::TForPrep { base, offset } => match r.get_after(base, 3).is_falsy() {
            true => r.jump_if(true, offset),
            false => Flow::General,
        },
        Op::TForCall { base, count } => {
            let values = [r.get(base), r.get_after(base, 1), r.get_after(base, 2)];
            if !HOOKED && outlined::next_entry(values, r.cells_from(base + 4), count) {
                return Flow::Next;
            }
            for (i, value) in values.into_iter().enumerate() {
                r.set_after(base, 4 + i, value);
            }
            let func = r.place(base) + 4;
            call::<HOOKED>(ctx, r, values[0], func, 2, Count(count))
        }
        Op::TForLoop { base, offset } => {
            let control = r.get_after(base, 4);
            if !control.is_nil() {
                r.set_after(base, 2, control);
                return r.jump_back(offset);
            }
            if r.get_after(base, 3).is_falsy() { Flow::Next } else { Flow::General }
        }
    }
}

/// Calls `callee`, which is at `func` in the stack, with `count` arguments, for `wanted` results.
#[inline(always)]
fn call<'gc, const HOOKED: bool>(
    ctx: Ctx<'gc>,
    running: &mut Running<'gc>,
    callee: Value<'gc>,
    func: usize,
    count: usize,
    wanted: Count,
) -> Flow {
    match callee {
        Value::Function(closure) => running.enter(ctx, closure, func, count, wanted),
        Value::Native(native) if !HOOKED => {
            running.save();
            let (thread, stack) = (running.thread, running.stack);
            let on_return = OnReturn::Store(wanted);
            match outlined::call_native(ctx, thread, stack, native, (func, count), on_return) {
                Ok(1) if wanted == Count(1) => Flow::Poll,
                Ok(results) => {
                    store_results(stack, &thread.top, (func, results), func, wanted);
                    Flow::Poll
                }
                Err(flow) => flow,
            }
        }
        _ => Flow::General,
    }
}

#[inline(always)]
fn int<'gc>(value: impl Into<i64>) -> Value<'gc> {
    Value::Int(value.into())
}
