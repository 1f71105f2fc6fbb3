//! [`Running`]: what the loop keeps at hand about the frame it runs.
//!
//! * EX2: all of it is loaded again after anything that may have switched frames of the thread, the
//!   thread, or replaced the stack. A call and a return inside the loop keep the thread and its stack,
//!   and change just the rest.
//! * EX3: the stack is open for changes ([`Thread::cells`]) as long as the loop is in one region: no
//!   register that an instruction writes needs a write barrier.

use core::cell::Cell;
use core::hint::cold_path;

use heap_api::Gc;

use crate::bytecode::{Const, Count, Jump, Op, Outcome, ProtoData, Reg, Up};
use crate::function::{Closure, Proto, Upval};
use crate::state::Ctx;
use crate::string::Str;
use crate::thread::{Frame, OnReturn, SPARE, Thread, WINDOW, Window, window};
use crate::value::Value;

use super::super::call::store_results;
use super::{Flow, outlined};

/// What the loop keeps at hand about the frame it runs.
pub(super) struct Running<'gc> {
    pub(super) thread: Gc<'gc, Thread<'gc>>,
    /// The thread's whole stack (EX3).
    pub(super) stack: &'gc [Cell<Value<'gc>>],
    pub(super) frame: &'gc Frame,
    registers: &'gc Window<'gc>,
    pub(super) closure: &'gc Closure<'gc>,
    code: &'gc [Op],
    constants: &'gc [Value<'gc>],
    /// The next instruction; the frame's own `pc` is valid after [`Running::save`].
    pc: usize,
}

impl<'gc> Running<'gc> {
    /// The last frame of the running thread, a Lua function.
    #[inline(always)]
    pub(super) fn load(ctx: Ctx<'gc>) -> Running<'gc> {
        let thread = ctx.state.thread.get();
        match thread.top_frame() {
            Some(frame) => Running::of(thread, thread.cells(ctx), frame),
            None => unreachable!("VM2: a thread that runs has a frame"),
        }
    }

    #[inline(always)]
    fn of(
        thread: Gc<'gc, Thread<'gc>>,
        stack: &'gc [Cell<Value<'gc>>],
        frame: &'gc Frame,
    ) -> Running<'gc> {
        let Value::Function(closure) = stack[frame.func.get() as usize].get() else {
            unreachable!("VM2: only Lua frames are run")
        };
        let closure = closure.as_ref();
        let proto = closure.header.proto.as_ref();
        Running {
            thread,
            stack,
            frame,
            registers: window(stack, frame.base.get()),
            closure,
            code: &proto.data.0.code,
            constants: proto.constants.as_ref(),
            pc: frame.pc.get() as usize,
        }
    }

    /// Puts `pc` into the frame: before anything that can fail, call, or look at the frame.
    #[inline(always)]
    pub(super) fn save(&self) {
        self.frame.pc.set(self.pc as u32);
    }

    /// The next instruction.
    #[inline(always)]
    pub(super) fn pc(&self) -> usize {
        self.pc
    }

    // ---- instructions and their operands ----

    /// The next instruction.
    #[inline(always)]
    pub(super) fn fetch(&mut self) -> &'gc Op {
        let Some(op) = self.code.get(self.pc) else {
            unreachable!("BC2: the code ends with a return")
        };
        self.pc += 1;
        op
    }

    /// The instruction that runs, in a frame that has just been loaded.
    pub(super) fn current(&self) -> Op {
        self.code[self.pc - 1]
    }

    /// A register's value.
    #[inline(always)]
    pub(super) fn get(&self, register: Reg) -> Value<'gc> {
        self.registers[register.index()].get()
    }

    /// That of the register `offset`, a small constant, after another.
    #[inline(always)]
    pub(super) fn get_after(&self, register: Reg, offset: usize) -> Value<'gc> {
        self.registers[register.index() + offset].get()
    }

    /// A register.
    #[inline(always)]
    pub(super) fn cell(&self, register: impl Into<Reg>) -> &'gc Cell<Value<'gc>> {
        &self.registers[register.into().index()]
    }

    /// A register and those after it.
    #[inline(always)]
    pub(super) fn cells_from(&self, register: Reg) -> &'gc [Cell<Value<'gc>>] {
        &self.registers[register.index()..]
    }

    /// Assigns the register `offset`, a small constant, after another.
    #[inline(always)]
    pub(super) fn set_after(&self, register: Reg, offset: usize, value: Value<'gc>) {
        self.registers[register.index() + offset].set(value);
    }

    /// Assigns an instruction's result.
    #[inline(always)]
    pub(super) fn put(&self, register: impl Into<Reg>, value: Value<'gc>) -> Flow {
        self.cell(register).set(value);
        Flow::Next
    }

    /// Assigns an instruction's result, for which it has allocated.
    #[inline(always)]
    pub(super) fn put_new(&self, register: impl Into<Reg>, value: Value<'gc>) -> Flow {
        self.cell(register).set(value);
        Flow::Poll
    }

    /// Stack index of the first register.
    #[inline(always)]
    pub(super) fn base(&self) -> usize {
        self.frame.base.get() as usize
    }

    /// Stack index of a register.
    #[inline(always)]
    pub(super) fn place(&self, register: impl Into<Reg>) -> usize {
        self.base() + register.into().index()
    }

    #[inline(always)]
    pub(super) fn proto(&self) -> &'gc Proto<'gc> {
        self.closure.header.proto.as_ref()
    }

    #[inline(always)]
    pub(super) fn data(&self) -> &'gc ProtoData {
        &self.proto().data.0
    }

    /// The first stack slot after the registers, for calls of metamethods.
    #[inline(always)]
    pub(super) fn scratch(&self) -> usize {
        self.base() + self.data().max_stack as usize
    }

    #[inline(always)]
    pub(super) fn constant(&self, k: impl Into<Const>) -> Value<'gc> {
        self.constants[k.into().0 as usize]
    }

    /// A constant that is a string (BC6 of [`crate::bytecode`]).
    #[inline(always)]
    pub(super) fn string(&self, k: impl Into<Const>) -> Str<'gc> {
        match self.constant(k) {
            Value::Str(text) => text,
            _ => unreachable!("BC6: this constant is a string"),
        }
    }

    #[inline(always)]
    pub(super) fn upvalue(&self, upvalue: Up) -> Gc<'gc, Upval<'gc>> {
        self.closure.tail[upvalue.0 as usize].get()
    }

    /// Length of a list of `count` values from `start` on, or of an open list.
    #[inline(always)]
    pub(super) fn list_len(&self, start: usize, count: Count) -> usize {
        count.fixed().unwrap_or_else(|| self.thread.top.get() as usize - start)
    }

    // ---- branches ----

    #[inline(always)]
    pub(super) fn jump(&mut self, offset: Jump) {
        self.pc = self.pc.wrapping_add_signed(offset.0 as isize);
    }

    /// Jumps if a condition `holds`.
    #[inline(always)]
    pub(super) fn jump_if(&mut self, holds: bool, offset: Jump) -> Flow {
        if holds {
            self.jump(offset);
        }
        Flow::Next
    }

    /// As [`Running::jump_if`], to the head of a loop.
    #[inline(always)]
    pub(super) fn jump_back(&mut self, offset: Jump) -> Flow {
        self.jump(offset);
        Flow::Poll
    }

    /// Jumps if a comparison has the outcome `when`; `None`: nothing fast is known about it.
    #[inline(always)]
    pub(super) fn compare(&mut self, outcome: Option<bool>, when: bool, offset: Jump) -> Flow {
        match outcome {
            Some(holds) => self.jump_if(holds == when, offset),
            None => Flow::General,
        }
    }

    // ---- calls and returns ----

    /// Calls a Lua function, which is at `func` in the stack, with `count` arguments, for `wanted`
    /// results, unless something about the call is out of the ordinary.
    #[inline(always)]
    pub(super) fn enter(
        &mut self,
        ctx: Ctx<'gc>,
        closure: Gc<'gc, Closure<'gc>>,
        func: usize,
        count: usize,
        wanted: Count,
    ) -> Flow {
        let closure = closure.as_ref();
        let proto = closure.header.proto.as_ref();
        let data = &proto.data.0;
        if data.is_vararg {
            self.save();
            return outlined::enter_vararg(ctx, self.thread, closure, (func, count), wanted);
        }
        let base = func + 1;
        if base + WINDOW + SPARE > self.stack.len() {
            return Flow::General;
        }
        let Some(frame) = self.thread.push_lua_frame(self.frame, func, base, wanted) else {
            return Flow::General;
        };
        self.save();
        self.frame = frame;
        self.registers = window(self.stack, base as u32);
        self.closure = closure;
        self.code = &data.code;
        self.constants = proto.constants.as_ref();
        self.pc = 0;
        for missing in count..data.num_params as usize {
            self.registers[missing as u8 as usize].set(Value::Nil);
        }
        Flow::Poll
    }

    /// Puts a Lua function, which is at `from` in the stack with `count` arguments after it, in the
    /// place of the running one, unless something about the call is out of the ordinary; says
    /// whether it did.
    #[inline(always)]
    pub(super) fn enter_in_place(
        &mut self,
        closure: Gc<'gc, Closure<'gc>>,
        from: usize,
        count: usize,
    ) -> bool {
        let closure = closure.as_ref();
        let proto = closure.header.proto.as_ref();
        let data = &proto.data.0;
        let func = self.frame.func.get() as usize;
        let base = func + 1;
        if data.is_vararg || base + count + WINDOW + SPARE > self.stack.len() {
            return false;
        }
        for i in 0..=count {
            self.stack[func + i].set(self.stack[from + i].get());
        }
        self.frame.refill_for_tail_call(base);
        self.registers = window(self.stack, base as u32);
        self.closure = closure;
        self.code = &data.code;
        self.constants = proto.constants.as_ref();
        self.pc = 0;
        for missing in count..data.num_params as usize {
            self.registers[missing as u8 as usize].set(Value::Nil);
        }
        true
    }

    /// Whether a Lua function has made the running call, and wants results in the ordinary way.
    #[inline(always)]
    pub(super) fn returns_to_lua(&self) -> bool {
        matches!(self.frame.on_return.get(), OnReturn::Store(_)) && self.thread.is_called_by_lua()
    }

    /// Ends the running call, if a Lua function has made it: where its results go.
    #[inline(always)]
    fn leave(&mut self) -> Option<usize> {
        let caller = self.thread.pop_to_lua_frame()?;
        let func = self.frame.func.get() as usize;
        *self = Running::of(self.thread, self.stack, caller);
        Some(func)
    }

    /// Returns the value of a register.
    #[inline(always)]
    pub(super) fn leave_with_one(&mut self, src: Reg) -> Flow {
        let value = self.get(src);
        let OnReturn::Store(wanted) = self.frame.on_return.get() else {
            return self.leave_metamethod(value);
        };
        let Some(func) = self.leave() else {
            cold_path();
            return outlined::leave_to_native(self.thread, self.stack, self.frame, value);
        };
        self.stack[func].set(value);
        if wanted != Count(1) {
            self.store(func, 1, func, wanted);
        }
        Flow::Next
    }

    /// Returns a metamethod's value, and finishes the instruction that has called it.
    #[inline(always)]
    fn leave_metamethod(&mut self, value: Value<'gc>) -> Flow {
        if self.frame.on_return.get() != OnReturn::Finish {
            return Flow::General;
        }
        if self.leave().is_none() {
            return Flow::General;
        }
        match self.code.get(self.pc - 1).and_then(|op| op.outcome()) {
            Some(Outcome::Register(dst)) => self.put(dst, value),
            Some(Outcome::Branch { when, offset }) => {
                self.jump_if(when != value.is_falsy(), offset)
            }
            Some(Outcome::Discard | Outcome::Concat) | None => Flow::Next,
        }
    }

    /// Returns `count` values from stack index `from` on.
    #[inline(always)]
    pub(super) fn leave_with(&mut self, from: usize, count: usize) -> Flow {
        let OnReturn::Store(wanted) = self.frame.on_return.get() else { return Flow::General };
        let Some(func) = self.leave() else { return Flow::General };
        if wanted != Count(0) {
            self.store(from, count, func, wanted);
        }
        Flow::Next
    }

    #[inline(always)]
    fn store(&self, from: usize, count: usize, to: usize, wanted: Count) {
        store_results(self.stack, &self.thread.top, (from, count), to, wanted);
    }
}
