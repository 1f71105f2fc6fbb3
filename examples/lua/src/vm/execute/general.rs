//! Instructions in full: what the loop does not carry out itself.
//!
//! The loop leaves an instruction to [`carry_out`] where its fast path does not apply, and nothing has
//! happened yet: metamethods, conversions, errors, lack of memory, and instructions that are too
//! rare or too long to be worth a place in the loop. Nothing is handed over but the frame, whose
//! `pc` is saved; and the loop takes up the frame that is the last afterwards. So these paths take
//! no registers from the fast ones.

use core::cell::Cell;

use heap_api::Gc;

use crate::bytecode::{Count, Dst, Jump, Op, Reg, UpvalSource};
use crate::error::{Failure, NoMemory};
use crate::function::{Closure, Proto, new_closure};
use crate::state::{Ctx, Event};
use crate::table::Table;
use crate::thread::{OnReturn, Thread, open_upval};
use crate::value::Value;

use super::super::arith::{Arith, arith};
use super::super::call::{
    enter_at_once, instruction_failed, metamethod, perform, store_results, varargs,
};
use super::super::close::{close_for_block, close_for_return, mark};
use super::super::describe::{Origin, arith_error, order_error, proto_of, type_error};
use super::super::forloop::{self, Loop};
use super::super::index::{Indexed, assign, index};
use super::super::{Action, Exit, compare, hook};
use super::running::Running;

/// Carries out the instruction that the running frame is at. `None`: the loop goes on, with the frame
/// that is the last then.
#[cold]
#[inline(never)]
pub(super) fn carry_out(ctx: Ctx<'_>) -> Option<Exit> {
    if enter_operator(ctx) { None } else { carry_out_in_full(ctx) }
}

#[inline(never)]
fn carry_out_in_full(ctx: Ctx<'_>) -> Option<Exit> {
    finish(ctx, Instruction { ctx, running: Running::load(ctx) }.run())
}

/// Calls the metamethod for an operator or a comparison that the running frame is at, if it is a Lua
/// function of a table on the left; says whether it did. This is most of what comes here in some
/// programs, and spares each over a hundred instructions of the way through [`Instruction`].
#[inline]
fn enter_operator(ctx: Ctx<'_>) -> bool {
    let thread = ctx.state.thread.get();
    let Some(frame) = thread.top_frame() else { return false };
    let Some(proto) = proto_of(thread, frame) else { return false };
    let data = &proto.data.0;
    let (event, lhs, rhs) = match data.code[frame.pc.get() as usize - 1] {
        Op::Add { lhs, rhs, .. } => (Event::Add, lhs, rhs),
        Op::Sub { lhs, rhs, .. } => (Event::Sub, lhs, rhs),
        Op::Mul { lhs, rhs, .. } => (Event::Mul, lhs, rhs),
        Op::Div { lhs, rhs, .. } => (Event::Div, lhs, rhs),
        Op::Mod { lhs, rhs, .. } => (Event::Mod, lhs, rhs),
        Op::Eq { lhs, rhs, .. } | Op::NotEq { lhs, rhs, .. } => (Event::Eq, lhs, rhs),
        Op::Lt { lhs, rhs, .. } | Op::NotLt { lhs, rhs, .. } => (Event::Lt, lhs, rhs),
        Op::Le { lhs, rhs, .. } | Op::NotLe { lhs, rhs, .. } => (Event::Le, lhs, rhs),
        _ => return false,
    };
    let stack = thread.cells(ctx);
    let base = frame.base.get() as usize;
    let [lhs, rhs] = [lhs, rhs].map(|register| stack[base + register.index()].get());
    let Value::Table(table) = lhs else { return false };
    let Some(metatable) = table.metatable() else { return false };
    let handler = match event {
        Event::Eq => metatable.cached_metamethod(ctx, event),
        _ => Some(metatable.get_short(ctx, ctx.state.event_key(event))),
    };
    let Some(handler @ Value::Function(metamethod)) = handler else { return false };
    let func = base + data.max_stack as usize;
    for (slot, value) in stack[func..].iter().zip([handler, lhs, rhs]) {
        slot.set(value);
    }
    enter_at_once(ctx, thread, metamethod, func, 2, OnReturn::Finish)
}

/// Acts on the outcome of an instruction.
#[inline(always)]
pub(super) fn finish<'gc>(ctx: Ctx<'gc>, result: Result<'gc>) -> Option<Exit> {
    match result {
        Ok(Action::Go) => None,
        Ok(action) => perform(ctx, action),
        Err(failure) => instruction_failed(ctx, failure),
    }
}

/// The outcome of an instruction; [`Action::Go`]: it is done.
pub(super) type Result<'gc> = core::result::Result<Action, Failure<'gc>>;

/// The instruction that runs, with what it works on.
struct Instruction<'gc> {
    ctx: Ctx<'gc>,
    running: Running<'gc>,
}

impl<'gc> Instruction<'gc> {
    fn run(&self) -> Result<'gc> {
        let reg = |register: Reg| self.running.get(register);
        match self.running.current() {
            // ---- tables ----
            Op::GetTabUp { dst, upval, key } => {
                let object = self.running.upvalue(upval).get();
                self.get(dst, object, self.running.string(key).into(), Origin::Upvalue(upval))
            }
            Op::SetTabUp { upval, value, key } => {
                let object = self.running.upvalue(upval).get();
                let key = self.running.string(key).into();
                self.set(object, key, reg(value), Origin::Upvalue(upval))
            }
            Op::GetIndex { dst, table, key } => {
                self.get(dst, reg(table), reg(key), Origin::Register(table))
            }
            Op::GetInt { dst, table, index } => {
                self.get(dst, reg(table), i64::from(index).into(), Origin::Register(table))
            }
            Op::GetField { dst, table, key } => {
                let key = self.running.string(key).into();
                self.get(dst, reg(table), key, Origin::Register(table))
            }
            Op::SelfField { dst, object, key } => {
                let receiver = reg(object);
                self.running.set_after(dst.into(), 1, receiver);
                let key = self.running.string(key).into();
                self.get(dst, receiver, key, Origin::Register(object))
            }
            Op::SetIndex { table, key, value } => {
                self.set(reg(table), reg(key), reg(value), Origin::Register(table))
            }
            Op::SetIndexK { table, key, value } => {
                let value = self.running.constant(value);
                self.set(reg(table), reg(key), value, Origin::Register(table))
            }
            Op::SetInt { table, value, index } => {
                let key = i64::from(index).into();
                self.set(reg(table), key, reg(value), Origin::Register(table))
            }
            Op::SetField { table, value, key } => {
                let key = self.running.string(key).into();
                self.set(reg(table), key, reg(value), Origin::Register(table))
            }
            Op::SetFieldK { table, key, value } => {
                let (key, value) = (self.running.string(key).into(), self.running.constant(value));
                self.set(reg(table), key, value, Origin::Register(table))
            }
            Op::NewTable { dst, array, hash } => {
                let table = Table::with_capacity(self.ctx, array as usize, hash as usize)?;
                self.put(dst, Value::Table(table))
            }
            Op::SetList { table, count, first } => {
                let start = self.running.place(table) + 1;
                let count = self.running.list_len(start, count);
                let values = &self.running.stack[start..start + count];
                match reg(table) {
                    Value::Table(table) => set_list(self.ctx, table, values, first)?,
                    other => return Err(self.not_indexable(other, Origin::Unknown)),
                }
                Ok(Action::Go)
            }

            // ---- operators ----
            Op::Add { dst, lhs, rhs } => self.arith(Arith::Add, dst, reg(lhs), reg(rhs)),
            Op::Sub { dst, lhs, rhs } => self.arith(Arith::Sub, dst, reg(lhs), reg(rhs)),
            Op::Mul { dst, lhs, rhs } => self.arith(Arith::Mul, dst, reg(lhs), reg(rhs)),
            Op::Div { dst, lhs, rhs } => self.arith(Arith::Div, dst, reg(lhs), reg(rhs)),
            Op::IDiv { dst, lhs, rhs } => self.arith(Arith::IDiv, dst, reg(lhs), reg(rhs)),
            Op::Mod { dst, lhs, rhs } => self.arith(Arith::Mod, dst, reg(lhs), reg(rhs)),
            Op::Pow { dst, lhs, rhs } => self.arith(Arith::Pow, dst, reg(lhs), reg(rhs)),
            Op::BAnd { dst, lhs, rhs } => self.arith(Arith::BAnd, dst, reg(lhs), reg(rhs)),
            Op::BOr { dst, lhs, rhs } => self.arith(Arith::BOr, dst, reg(lhs), reg(rhs)),
            Op::BXor { dst, lhs, rhs } => self.arith(Arith::BXor, dst, reg(lhs), reg(rhs)),
            Op::Shl { dst, lhs, rhs } => self.arith(Arith::Shl, dst, reg(lhs), reg(rhs)),
            Op::Shr { dst, lhs, rhs } => self.arith(Arith::Shr, dst, reg(lhs), reg(rhs)),

            Op::AddI { dst, lhs, flip, imm } => self.with_imm(Arith::Add, dst, lhs, flip, imm),
            Op::SubI { dst, lhs, imm } => self.with_imm(Arith::Sub, dst, lhs, false, imm),
            Op::MulI { dst, lhs, flip, imm } => self.with_imm(Arith::Mul, dst, lhs, flip, imm),
            Op::DivI { dst, lhs, imm } => self.with_imm(Arith::Div, dst, lhs, false, imm),
            Op::IDivI { dst, lhs, imm } => self.with_imm(Arith::IDiv, dst, lhs, false, imm),
            Op::ModI { dst, lhs, imm } => self.with_imm(Arith::Mod, dst, lhs, false, imm),
            Op::PowI { dst, lhs, imm } => self.with_imm(Arith::Pow, dst, lhs, false, imm),
            Op::BAndI { dst, lhs, flip, imm } => self.with_imm(Arith::BAnd, dst, lhs, flip, imm),
            Op::BOrI { dst, lhs, flip, imm } => self.with_imm(Arith::BOr, dst, lhs, flip, imm),
            Op::BXorI { dst, lhs, flip, imm } => self.with_imm(Arith::BXor, dst, lhs, flip, imm),
            Op::ShlI { dst, lhs, imm } => self.with_imm(Arith::Shl, dst, lhs, false, imm),
            Op::ShrI { dst, lhs, imm } => self.with_imm(Arith::Shr, dst, lhs, false, imm),

            Op::AddK { dst, lhs, flip, k } => self.with_constant(Arith::Add, dst, lhs, flip, k),
            Op::SubK { dst, lhs, k } => self.with_constant(Arith::Sub, dst, lhs, false, k),
            Op::MulK { dst, lhs, flip, k } => self.with_constant(Arith::Mul, dst, lhs, flip, k),
            Op::DivK { dst, lhs, k } => self.with_constant(Arith::Div, dst, lhs, false, k),
            Op::IDivK { dst, lhs, k } => self.with_constant(Arith::IDiv, dst, lhs, false, k),
            Op::ModK { dst, lhs, k } => self.with_constant(Arith::Mod, dst, lhs, false, k),
            Op::PowK { dst, lhs, k } => self.with_constant(Arith::Pow, dst, lhs, false, k),
            Op::BAndK { dst, lhs, flip, k } => self.with_constant(Arith::BAnd, dst, lhs, flip, k),
            Op::BOrK { dst, lhs, flip, k } => self.with_constant(Arith::BOr, dst, lhs, flip, k),
            Op::BXorK { dst, lhs, flip, k } => self.with_constant(Arith::BXor, dst, lhs, flip, k),

            Op::Unm { dst, src } => self.arith(Arith::Unm, dst, reg(src), reg(src)),
            Op::BNot { dst, src } => self.arith(Arith::BNot, dst, reg(src), reg(src)),
            Op::Len { dst, src } => self.len(dst, src),

            // ---- comparisons ----
            Op::Eq { lhs, rhs, offset } => Ok(self.equal(reg(lhs), reg(rhs), true, offset)),
            Op::NotEq { lhs, rhs, offset } => Ok(self.equal(reg(lhs), reg(rhs), false, offset)),
            Op::Lt { lhs, rhs, offset } => self.less(reg(lhs), reg(rhs), true, offset),
            Op::NotLt { lhs, rhs, offset } => self.less(reg(lhs), reg(rhs), false, offset),
            Op::Le { lhs, rhs, offset } => self.less_or_equal(reg(lhs), reg(rhs), true, offset),
            Op::NotLe { lhs, rhs, offset } => self.less_or_equal(reg(lhs), reg(rhs), false, offset),
            Op::LtI { lhs, imm, offset } => self.less(reg(lhs), int(imm), true, offset),
            Op::NotLtI { lhs, imm, offset } => self.less(reg(lhs), int(imm), false, offset),
            Op::LeI { lhs, imm, offset } => self.less_or_equal(reg(lhs), int(imm), true, offset),
            Op::NotLeI { lhs, imm, offset } => {
                self.less_or_equal(reg(lhs), int(imm), false, offset)
            }
            Op::GtI { lhs, imm, offset } => self.less(int(imm), reg(lhs), true, offset),
            Op::NotGtI { lhs, imm, offset } => self.less(int(imm), reg(lhs), false, offset),
            Op::GeI { lhs, imm, offset } => self.less_or_equal(int(imm), reg(lhs), true, offset),
            Op::NotGeI { lhs, imm, offset } => {
                self.less_or_equal(int(imm), reg(lhs), false, offset)
            }

            // ---- calls ----
            Op::Call { func, args, results } => {
                let func = self.running.place(func);
                let count = self.running.list_len(func + 1, args);
                Ok(Action::Call { func, count, on_return: OnReturn::Store(results) })
            }
            Op::Return { first, count, .. } => Ok(self.leave(first, count)),
            Op::Return0 => Ok(self.leave(Reg(0), Count(0))),
            Op::Return1 { src } => Ok(self.leave(src, Count(1))),
            Op::ReturnCloseAll { first, count } => self.return_closing(first, count),
            Op::VarArg { dst, count } => {
                let params = self.running.data().num_params as usize;
                let (from, available) = varargs(self.running.frame, params);
                let to = self.running.place(dst);
                let thread = self.running.thread;
                thread.reserve(self.ctx, to + available)?;
                store_results(thread.cells(self.ctx), &thread.top, (from, available), to, count);
                Ok(Action::Go)
            }
            Op::Closure { dst, proto } => {
                let proto = self.running.proto().protos[proto.0 as usize];
                let closure = make_closure(self.ctx, &self.running, proto)?;
                self.put(dst, Value::Function(closure))
            }
            Op::MarkToClose { src } => {
                mark(self.ctx, self.running.place(src))?;
                Ok(Action::Go)
            }
            Op::CloseAll { from } => self.close_block(from),

            // ---- loops ----
            Op::ForPrep { base, offset } => self.prepare_for(base, offset),
            Op::TForPrep { base, offset } => {
                mark(self.ctx, self.running.place(base + 3))?;
                self.jump(offset);
                Ok(Action::Go)
            }
            Op::TForCall { base, count } => {
                for i in 0..3 {
                    self.running.set_after(base, 4 + i, self.running.get_after(base, i));
                }
                let on_return = OnReturn::Store(Count(count));
                Ok(Action::Call { func: self.running.place(base) + 4, count: 2, on_return })
            }
            Op::TForLoop { base, .. } => self.close_block(base),

            Op::Move { .. }
            | Op::LoadI { .. }
            | Op::LoadK { .. }
            | Op::LoadNil { .. }
            | Op::LoadFalse { .. }
            | Op::LoadTrue { .. }
            | Op::GetUpval { .. }
            | Op::SetUpval { .. }
            | Op::Not { .. }
            | Op::Concat { .. }
            | Op::Jmp { .. }
            | Op::JmpBack { .. }
            | Op::JmpIf { .. }
            | Op::JmpIfNot { .. }
            | Op::MoveJmpIf { .. }
            | Op::MoveJmpIfNot { .. }
            | Op::EqK { .. }
            | Op::NotEqK { .. }
            | Op::EqI { .. }
            | Op::NotEqI { .. }
            | Op::TailCall { .. }
            | Op::Close { .. }
            | Op::VarArgPrep { .. }
            | Op::ForLoop { .. } => unreachable!("the loop carries these out in any case"),
        }
    }

    /// Assigns the instruction's result.
    fn put(&self, dst: Dst, value: Value<'gc>) -> Result<'gc> {
        self.running.cell(dst).set(value);
        Ok(Action::Go)
    }

    fn jump(&self, offset: Jump) {
        let pc = &self.running.frame.pc;
        pc.set(pc.get().wrapping_add_signed(offset.0));
    }

    /// Calls a metamethod; what becomes of its result is in the table of instructions.
    fn call<const N: usize>(&self, handler: Value<'gc>, args: [Value<'gc>; N]) -> Action {
        let (ctx, thread, scratch) = (self.ctx, self.running.thread, self.running.scratch());
        let action = metamethod(ctx, scratch, handler, args);
        match handler {
            Value::Function(closure)
                if enter_at_once(ctx, thread, closure, scratch, N, OnReturn::Finish) =>
            {
                Action::Go
            }
            _ => action,
        }
    }

    // ---- tables ----

    fn get(&self, dst: Dst, object: Value<'gc>, key: Value<'gc>, origin: Origin) -> Result<'gc> {
        match index(self.ctx, object, key)? {
            Indexed::Done(value) => self.put(dst, value),
            Indexed::Call { handler, object } => Ok(self.call(handler, [object, key])),
            Indexed::NotIndexable { object, first } => {
                Err(self.not_indexable(object, if first { origin } else { Origin::Unknown }))
            }
        }
    }

    fn set(
        &self,
        object: Value<'gc>,
        key: Value<'gc>,
        value: Value<'gc>,
        origin: Origin,
    ) -> Result<'gc> {
        match assign(self.ctx, object, key, value)? {
            Indexed::Done(()) => Ok(Action::Go),
            Indexed::Call { handler, object } => Ok(self.call(handler, [object, key, value])),
            Indexed::NotIndexable { object, first } => {
                Err(self.not_indexable(object, if first { origin } else { Origin::Unknown }))
            }
        }
    }

    fn not_indexable(&self, object: Value<'gc>, origin: Origin) -> Failure<'gc> {
        type_error(self.ctx, "index", object, origin)
    }

    // ---- operators ----

    fn arith(&self, op: Arith, dst: Dst, lhs: Value<'gc>, rhs: Value<'gc>) -> Result<'gc> {
        if let Some(value) = arith(op, lhs, rhs)? {
            return self.put(dst, value);
        }
        let handler = self.binary_metamethod(op.event(), lhs, rhs);
        if handler.is_nil() {
            return Err(arith_error(self.ctx, op, lhs, rhs));
        }
        Ok(self.call(handler, [lhs, rhs]))
    }

    /// A metamethod gets the operands as the source has them.
    fn flipped(
        &self,
        op: Arith,
        dst: Dst,
        lhs: Value<'gc>,
        flip: bool,
        rhs: Value<'gc>,
    ) -> Result<'gc> {
        let (lhs, rhs) = if flip { (rhs, lhs) } else { (lhs, rhs) };
        self.arith(op, dst, lhs, rhs)
    }

    fn with_imm(&self, op: Arith, dst: Dst, lhs: Reg, flip: bool, imm: i32) -> Result<'gc> {
        self.flipped(op, dst, self.running.get(lhs), flip, int(imm))
    }

    fn with_constant(
        &self,
        op: Arith,
        dst: Dst,
        lhs: Reg,
        flip: bool,
        k: crate::bytecode::Const,
    ) -> Result<'gc> {
        self.flipped(op, dst, self.running.get(lhs), flip, self.running.constant(k))
    }

    fn len(&self, dst: Dst, src: Reg) -> Result<'gc> {
        let value = self.running.get(src);
        let handler = self.ctx.metamethod(value, Event::Len);
        match (handler, value) {
            (Value::Nil, Value::Table(table)) => self.put(dst, Value::Int(table.length(self.ctx))),
            (Value::Nil, _) => {
                Err(type_error(self.ctx, "get length of", value, Origin::Register(src)))
            }
            // As those of the other unary operators, the metamethod gets its operand twice.
            _ => Ok(self.call(handler, [value, value])),
        }
    }

    /// The metamethod of the first operand that has one.
    fn binary_metamethod(&self, event: Event, lhs: Value<'gc>, rhs: Value<'gc>) -> Value<'gc> {
        match self.ctx.metamethod(lhs, event) {
            Value::Nil => self.ctx.metamethod(rhs, event),
            handler => handler,
        }
    }

    // ---- comparisons ----

    /// The outcome of a comparison is known.
    fn branch(&self, holds: bool, when: bool, offset: Jump) -> Action {
        if holds == when {
            self.jump(offset);
        }
        Action::Go
    }

    fn equal(&self, lhs: Value<'gc>, rhs: Value<'gc>, when: bool, offset: Jump) -> Action {
        let metatables = match (lhs, rhs) {
            _ if lhs.raw_equal(rhs) => return self.branch(true, when, offset),
            (Value::Table(a), Value::Table(b)) => [a.metatable(), b.metatable()],
            (Value::UserData(a), Value::UserData(b)) => [a.metatable.get(), b.metatable.get()],
            _ => [None, None],
        };
        let mut handlers = metatables
            .into_iter()
            .flatten()
            .filter_map(|metatable| metatable.cached_metamethod(self.ctx, Event::Eq));
        match handlers.next() {
            Some(handler) => self.call(handler, [lhs, rhs]),
            None => self.branch(false, when, offset),
        }
    }

    fn less(&self, lhs: Value<'gc>, rhs: Value<'gc>, when: bool, offset: Jump) -> Result<'gc> {
        if let Some(holds) = compare::less_than(lhs, rhs) {
            return Ok(self.branch(holds, when, offset));
        }
        let handler = self.binary_metamethod(Event::Lt, lhs, rhs);
        if handler.is_nil() {
            return Err(order_error(self.ctx, lhs, rhs));
        }
        Ok(self.call(handler, [lhs, rhs]))
    }

    fn less_or_equal(
        &self,
        lhs: Value<'gc>,
        rhs: Value<'gc>,
        when: bool,
        offset: Jump,
    ) -> Result<'gc> {
        if let Some(holds) = compare::less_equal(lhs, rhs) {
            return Ok(self.branch(holds, when, offset));
        }
        let handler = self.binary_metamethod(Event::Le, lhs, rhs);
        if !handler.is_nil() {
            return Ok(self.call(handler, [lhs, rhs]));
        }
        // Without `__le`, `not (rhs < lhs)` serves, as in real Lua built for compatibility.
        let handler = self.binary_metamethod(Event::Lt, rhs, lhs);
        if handler.is_nil() {
            return Err(order_error(self.ctx, lhs, rhs));
        }
        let scratch = self.running.scratch();
        let Action::Call { func, count, .. } = metamethod(self.ctx, scratch, handler, [rhs, lhs])
        else {
            unreachable!("`metamethod` prepares a call")
        };
        Ok(Action::Call { func, count, on_return: OnReturn::FinishNegated })
    }

    // ---- calls and returns ----

    fn leave(&self, first: Reg, count: Count) -> Action {
        let Running { thread, frame, .. } = self.running;
        let from = self.running.place(first);
        let count = self.running.list_len(from, count);
        if self.ctx.host.hooks.is_on() && hook::returning(self.ctx, from, count) {
            return Action::Leave(Exit::Hook);
        }
        thread.pop_frame();
        let (func, on_return) = (frame.func.get() as usize, frame.on_return.get());
        Action::Return { from, count, func, on_return }
    }

    fn return_closing(&self, first: Reg, count: Count) -> Result<'gc> {
        let base = self.running.base();
        if self.running.thread.to_close_from(base).is_some() {
            let from = self.running.place(first);
            let count = self.running.list_len(from, count);
            return close_for_return(self.ctx, base, (from, count), self.running.scratch());
        }
        // Most often there is nothing to close: a `return` in a generic `for`.
        self.close_upvals(base);
        Ok(self.leave(first, count))
    }

    fn close_upvals(&self, from: usize) {
        self.running.thread.close_upvals(self.ctx, from);
    }

    /// The running frame leaves a block, whose registers begin with `from`.
    fn close_block(&self, from: Reg) -> Result<'gc> {
        let (from, scratch) = (self.running.place(from), self.running.scratch());
        Ok(close_for_block(self.ctx, from, scratch)?.unwrap_or(Action::Go))
    }

    // ---- loops ----

    fn prepare_for(&self, base: Reg, offset: Jump) -> Result<'gc> {
        let [first, limit, step] = [0, 1, 2].map(|i| self.running.get_after(base, i));
        let set = |i, value| self.running.set_after(base, i, value);
        match forloop::prepare(self.ctx, first, limit, step)? {
            Loop::Skip => self.jump(offset),
            Loop::Int { first, further } => {
                set(1, Value::Int(further as i64));
                set(3, Value::Int(first));
            }
            Loop::Float { first, limit, step } => {
                set(0, Value::float(first));
                set(1, Value::float(limit));
                set(2, Value::float(step));
                set(3, Value::float(first));
            }
        }
        Ok(Action::Go)
    }
}

fn int<'gc>(value: impl Into<i64>) -> Value<'gc> {
    Value::Int(value.into())
}

/// Fills a table with values. It is a fresh one, unless `debug.setlocal` has put another in its place.
pub(super) fn set_list<'gc>(
    ctx: Ctx<'gc>,
    table: Gc<'gc, Table<'gc>>,
    values: &[Cell<Value<'gc>>],
    first: u32,
) -> core::result::Result<(), NoMemory> {
    if table.is_weak() {
        for (key, value) in (i64::from(first)..).zip(values) {
            table.set_int(ctx, key, value.get())?;
        }
        return Ok(());
    }
    let offset = first as usize - 1;
    table.reserve_array(ctx, offset + values.len())?;
    for (slot, value) in table.array_part()[offset..].iter().zip(values) {
        slot.set(ctx.cx, value.get());
    }
    Ok(())
}

/// Makes a function of the running one's.
pub(super) fn make_closure<'gc>(
    ctx: Ctx<'gc>,
    running: &Running<'gc>,
    proto: Gc<'gc, Proto<'gc>>,
) -> core::result::Result<Gc<'gc, Closure<'gc>>, NoMemory> {
    let thread: Gc<'gc, Thread<'gc>> = running.thread;
    let captures = &proto.as_ref().data.0.upvalues;
    let capture = |i: usize| match captures[i].source {
        UpvalSource::ParentRegister(register) => open_upval(ctx, thread, running.place(register)),
        UpvalSource::ParentUpvalue(upvalue) => Ok(running.upvalue(upvalue)),
    };
    // Few upvalues are gathered on Rust's stack.
    match captures.len() {
        0 => new_closure(ctx, proto, &[]),
        count @ 1..=8 => {
            let mut upvalues = [capture(0)?; 8];
            for (i, upvalue) in upvalues.iter_mut().enumerate().take(count).skip(1) {
                *upvalue = capture(i)?;
            }
            new_closure(ctx, proto, &upvalues[..count])
        }
        count => {
            let upvalues: Vec<_> =
                (0..count).map(capture).collect::<core::result::Result<_, _>>()?;
            new_closure(ctx, proto, &upvalues)
        }
    }
}
