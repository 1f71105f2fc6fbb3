//! The state of one function under construction: instructions, constants and registers.
//!
//! # Invariants
//! * Registers form a stack: active local variables at the bottom, temporaries above,
//!   `free_register` is the first unused one and never exceeds [`MAX_REGISTERS`].
//! * `last_target` is the highest index known to be a branch target, so that no peephole
//!   merges an instruction across it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::Reached;
use super::exp::{Exp, JumpList, Place};
use super::jumps::{Gotos, Labels};
use super::scope::{BlockScope, LocalScope, UpvalueScope};
use crate::bytecode::{Const, Constant, Count, Jump, LocalVar, MAX_REGISTERS, Op, ProtoData, Reg};
use crate::syntax::SyntaxError;

/// Destination of a `MoveJmpIf` that does not know it yet.
pub(super) const NO_REGISTER: Reg = Reg(u8::MAX);

/// Offset that ends a jump list.
const END_OF_LIST: Jump = Jump::OPEN;

/// Identity of a constant: floats by their bits.
#[derive(PartialEq, Eq, Hash)]
enum ConstantKey<'s> {
    Nil,
    Bool(bool),
    Int(i64),
    Float(u64),
    Str(Cow<'s, [u8]>),
}

/// A function that is being compiled.
pub(super) struct FunctionState<'s> {
    /// The chunk's text and the place in it, for messages.
    pub(super) text: &'s [u8],
    pub(super) reached: Reached,
    pub(super) code: Vec<Op>,
    pub(super) lines: Vec<u32>,
    constants: Vec<Constant>,
    constant_index: HashMap<ConstantKey<'s>, Const>,
    pub(super) protos: Vec<ProtoData>,
    pub(super) upvalues: Vec<UpvalueScope<'s>>,
    pub(super) locals: Vec<LocalScope<'s>>,
    pub(super) local_vars: Vec<LocalVar>,
    pub(super) blocks: Vec<BlockScope>,
    pub(super) labels: Labels<'s>,
    pub(super) gotos: Gotos<'s>,
    pub(super) free_register: Reg,
    pub(super) max_stack: u8,
    pub(super) num_params: u8,
    pub(super) is_vararg: bool,
    /// Whether returns have to close upvalues.
    pub(super) needs_close: bool,
    pub(super) last_target: usize,
    /// Line of the instructions that are emitted now.
    pub(super) line: u32,
    pub(super) line_defined: u32,
    pub(super) last_line: u32,
    pub(super) source: Arc<str>,
}

impl<'s> FunctionState<'s> {
    pub(super) fn new(text: &'s [u8], source: Arc<str>, line_defined: u32, last_line: u32) -> Self {
        FunctionState {
            text,
            reached: Reached::after(0),
            code: Vec::new(),
            lines: Vec::new(),
            constants: Vec::new(),
            constant_index: HashMap::default(),
            protos: Vec::new(),
            upvalues: Vec::new(),
            locals: Vec::new(),
            local_vars: Vec::new(),
            blocks: Vec::new(),
            labels: Labels::default(),
            gotos: Gotos::default(),
            free_register: Reg(0),
            max_stack: 2,
            num_params: 0,
            is_vararg: false,
            needs_close: false,
            last_target: 0,
            // A main chunk has no line of definition (0), but its first instruction has a line: an
            // interrupt may be reported there.
            line: line_defined.max(1),
            line_defined,
            last_line,
            source,
        }
    }

    // ---- instructions ----

    pub(super) fn emit(&mut self, op: Op) -> usize {
        self.code.push(op);
        self.lines.push(self.line);
        self.code.len() - 1
    }

    /// Changes the line of the last instruction.
    pub(super) fn fix_line(&mut self, line: u32) {
        *self.lines.last_mut().expect("an instruction was emitted") = line;
    }

    pub(super) fn pc(&self) -> usize {
        self.code.len()
    }

    /// The next index, as the target of a branch.
    pub(super) fn here(&mut self) -> usize {
        self.last_target = self.pc();
        self.last_target
    }

    /// The last instruction, if it always runs before the next one.
    pub(super) fn previous(&mut self) -> Option<&mut Op> {
        if self.pc() > self.last_target { self.code.last_mut() } else { None }
    }

    pub(super) fn load_nil(&mut self, first: Reg, count: u8) {
        if let Some(Op::LoadNil { first: start, count: length }) = self.previous()
            && *start + *length == first
        {
            *length += count;
            return;
        }
        self.emit(Op::LoadNil { first, count });
    }

    // ---- branches ----

    /// Emits a branch that waits for its target.
    pub(super) fn emit_branch(&mut self, op: Op) -> JumpList {
        let pc = self.emit(op);
        self.set_offset(pc, END_OF_LIST);
        JumpList(Some(pc))
    }

    pub(super) fn jump(&mut self) -> JumpList {
        self.emit_branch(Op::Jmp { offset: END_OF_LIST })
    }

    pub(super) fn jump_back(&mut self, target: usize) {
        self.emit(Op::JmpBack { offset: Jump::between(self.pc(), target) });
    }

    pub(super) fn set_offset(&mut self, pc: usize, offset: Jump) {
        *self.code[pc].offset_mut().expect("only branches are in jump lists") = offset;
    }

    fn next_in_list(&self, pc: usize) -> JumpList {
        let link = self.code[pc].offset().expect("only branches are in jump lists");
        JumpList(usize::try_from(link.0).ok())
    }

    /// Appends `tail` to `list`. Walks `list`, so the shorter one should be in front.
    pub(super) fn join(&mut self, list: &mut JumpList, tail: JumpList) {
        let Some(tail_pc) = tail.0 else { return };
        let Some(mut last) = list.0 else {
            *list = tail;
            return;
        };
        while let Some(next) = self.next_in_list(last).0 {
            last = next;
        }
        self.set_offset(last, Jump(tail_pc as i32));
    }

    /// Directs every branch of `list` to `target`.
    pub(super) fn patch(&mut self, list: JumpList, target: usize) {
        self.patch_values(list, target, NO_REGISTER, target);
    }

    pub(super) fn patch_here(&mut self, list: JumpList) {
        let target = self.here();
        self.patch(list, target);
    }

    /// Directs branches that carry a value to `value_target`, where `register` holds it, and the
    /// others to `default_target`.
    pub(super) fn patch_values(
        &mut self,
        list: JumpList,
        value_target: usize,
        register: Reg,
        default_target: usize,
    ) {
        let mut next = list;
        while let Some(pc) = next.0 {
            next = self.next_in_list(pc);
            let carries = self.settle_test(pc, register);
            let target = if carries { value_target } else { default_target };
            debug_assert!(target > pc, "branches other than back edges go forward");
            self.set_offset(pc, Jump::between(pc, target));
        }
    }

    /// Gives a value-carrying branch its destination, or turns it into a plain one where no value
    /// is wanted. Returns whether it was value-carrying.
    fn settle_test(&mut self, pc: usize, register: Reg) -> bool {
        let (src, offset, when) = match self.code[pc] {
            Op::MoveJmpIf { src, offset, .. } => (src, offset, true),
            Op::MoveJmpIfNot { src, offset, .. } => (src, offset, false),
            _ => return false,
        };
        let needs_move = register != NO_REGISTER && register != src;
        self.code[pc] = match (needs_move, when) {
            (true, true) => Op::MoveJmpIf { dst: register, src, offset },
            (true, false) => Op::MoveJmpIfNot { dst: register, src, offset },
            (false, true) => Op::JmpIf { src, offset },
            (false, false) => Op::JmpIfNot { src, offset },
        };
        true
    }

    /// Whether some branch of the list carries no value.
    pub(super) fn needs_value(&self, list: JumpList) -> bool {
        let mut next = list;
        while let Some(pc) = next.0 {
            if !matches!(self.code[pc], Op::MoveJmpIf { .. } | Op::MoveJmpIfNot { .. }) {
                return true;
            }
            next = self.next_in_list(pc);
        }
        false
    }

    /// The values that branches of the list carry are not wanted.
    pub(super) fn drop_values(&mut self, list: JumpList) {
        let mut next = list;
        while let Some(pc) = next.0 {
            next = self.next_in_list(pc);
            self.settle_test(pc, NO_REGISTER);
        }
    }

    // ---- registers ----

    /// Makes sure that `count` more registers exist.
    pub(super) fn check_stack(&mut self, count: usize) -> Result<(), SyntaxError> {
        let needed = self.free_register.index() + count;
        if needed > MAX_REGISTERS {
            let message = "function or expression needs too many registers";
            return Err(self.reached.error(self.text, &self.source, message));
        }
        self.max_stack = self.max_stack.max(needed as u8);
        Ok(())
    }

    pub(super) fn reserve(&mut self, count: usize) -> Result<(), SyntaxError> {
        self.check_stack(count)?;
        self.free_register += count as u8;
        Ok(())
    }

    pub(super) fn free(&mut self, register: Reg) {
        if register >= self.local_registers() {
            self.free_register -= 1;
            debug_assert_eq!(register, self.free_register, "temporaries are freed in order");
        }
    }

    pub(super) fn free_pair(&mut self, a: Reg, b: Reg) {
        self.free(a.max(b));
        self.free(a.min(b));
    }

    pub(super) fn free_exp(&mut self, exp: &Exp) {
        if let Place::Register(register) = exp.place {
            self.free(register);
        }
    }

    pub(super) fn free_exps(&mut self, a: &Exp, b: &Exp) {
        match (a.place, b.place) {
            (Place::Register(a), Place::Register(b)) => self.free_pair(a, b),
            _ => {
                self.free_exp(a);
                self.free_exp(b);
            }
        }
    }

    // ---- constants ----

    fn constant(&mut self, key: ConstantKey<'s>, make: impl FnOnce() -> Constant) -> Const {
        let next = Const(self.constants.len() as u32);
        let index = *self.constant_index.entry(key).or_insert(next);
        if index == next {
            self.constants.push(make());
        }
        index
    }

    pub(super) fn string_constant(&mut self, value: Cow<'s, [u8]>) -> Const {
        let bytes: Box<[u8]> = value.as_ref().into();
        self.constant(ConstantKey::Str(value), || Constant::Str(bytes))
    }

    pub(super) fn integer_constant(&mut self, value: i64) -> Const {
        self.constant(ConstantKey::Int(value), || Constant::Int(value))
    }

    pub(super) fn float_constant(&mut self, value: f64) -> Const {
        self.constant(ConstantKey::Float(value.to_bits()), || Constant::Float(value))
    }

    /// The index of the constant that `exp` is, if it is one.
    pub(super) fn exp_constant(&mut self, exp: &Exp) -> Option<Const> {
        if exp.has_jumps() {
            return None;
        }
        Some(match exp.place {
            Place::Nil => self.constant(ConstantKey::Nil, || Constant::Nil),
            Place::True => self.constant(ConstantKey::Bool(true), || Constant::Bool(true)),
            Place::False => self.constant(ConstantKey::Bool(false), || Constant::Bool(false)),
            Place::Int(value) => self.integer_constant(value),
            Place::Float(value) => self.float_constant(value),
            Place::Str(index) => index,
            _ => return None,
        })
    }

    pub(super) fn constant_at(&self, index: Const) -> &Constant {
        &self.constants[index.0 as usize]
    }

    // ---- the end ----

    /// The finished function.
    pub(super) fn finish(mut self) -> ProtoData {
        self.settle_returns();
        self.thread_jumps();
        ProtoData {
            code: self.code,
            line_info: self.lines,
            constants: self.constants,
            protos: self.protos,
            upvalues: self.upvalues.into_iter().map(UpvalueScope::into_desc).collect(),
            num_params: self.num_params,
            is_vararg: self.is_vararg,
            max_stack: self.max_stack,
            source: self.source,
            line_defined: self.line_defined,
            last_line: self.last_line,
            local_vars: self.local_vars,
        }
    }

    /// Only now it is known whether returns have to close upvalues.
    fn settle_returns(&mut self) {
        let general = self.needs_close || self.is_vararg;
        for op in &mut self.code {
            match op {
                Op::Return0 if general => {
                    *op = Op::Return { first: Reg(0), count: Count(0), close: self.needs_close };
                }
                Op::Return1 { src } if general => {
                    *op = Op::Return { first: *src, count: Count(1), close: self.needs_close };
                }
                Op::Return { close, .. } | Op::TailCall { close, .. } => *close = self.needs_close,
                _ => {}
            }
        }
    }

    /// Makes branches that lead to jumps go straight to the final target. From the end, so that the
    /// jumps that they lead to go there already.
    fn thread_jumps(&mut self) {
        for pc in (0..self.code.len()).rev() {
            let op = self.code[pc];
            let is_loop =
                matches!(op, Op::JmpBack { .. } | Op::ForLoop { .. } | Op::TForLoop { .. });
            let Some(offset) = op.offset().filter(|_| !is_loop) else { continue };
            let mut target = offset.target(pc);
            if let Op::Jmp { offset } = self.code[target] {
                target = offset.target(target);
            }
            self.set_offset(pc, Jump::between(pc, target));
            // Only an unconditional jump may become a back edge.
            if let (Op::Jmp { .. }, Op::JmpBack { offset }) = (op, self.code[target]) {
                let offset = Jump::between(pc, offset.target(target));
                self.code[pc] = Op::JmpBack { offset };
            }
        }
    }
}
