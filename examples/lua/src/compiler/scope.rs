//! Scopes: local variables, upvalues, blocks, labels and gotos of a function.
//!
//! # Invariants
//! * A local variable that is not a compile-time constant owns the register that equals the
//!   number of such variables below it.
//! * [`Labels`](super::jumps::Labels) and [`Gotos`](super::jumps::Gotos) are stacks; a block
//!   owns those above its `first_label` and `first_goto`. A goto that leaves its block unresolved
//!   moves to the enclosing one, and remembers whether a captured variable went out of scope on the
//!   way.

use super::exp::{ConstantValue, JumpList};
use super::function::FunctionState;
use super::jumps::{BREAK, Label, PendingGoto};
use crate::bytecode::{LocalVar, Op, Reg, UpvalDesc, UpvalSource};
use crate::syntax::SyntaxError;

/// What a variable permits.
#[derive(Clone, Debug)]
pub(super) enum VariableKind<'s> {
    Regular,
    /// Declared `<const>`, but its value is known at run time only.
    ReadOnly,
    /// Declared `<const>` with a known value: needs no register.
    Constant(ConstantValue<'s>),
}

/// A local variable in scope.
pub(super) struct LocalScope<'s> {
    pub(super) name: &'s [u8],
    pub(super) kind: VariableKind<'s>,
    /// Not used by compile-time constants.
    pub(super) register: Reg,
    /// Index of its debug information.
    info: usize,
}

/// An upvalue of a function.
pub(super) struct UpvalueScope<'s> {
    pub(super) name: &'s [u8],
    pub(super) source: UpvalSource,
    pub(super) is_read_only: bool,
}

impl UpvalueScope<'_> {
    pub(super) fn into_desc(self) -> UpvalDesc {
        UpvalDesc { name: self.name.into(), source: self.source }
    }
}

/// Whether `break` may leave a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockKind {
    Plain,
    Loop,
}

/// A block that is open.
pub(super) struct BlockScope {
    kind: BlockKind,
    /// Variables in scope outside of it.
    outer_locals: usize,
    first_label: usize,
    first_goto: usize,
    /// Whether a closure captured one of its variables.
    has_captured: bool,
    /// What has to be closed when it is left.
    to_close: ToClose,
    /// Whether it or a block around it has something to close.
    is_inside_to_close: bool,
}

/// What has to be closed when a block is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ToClose {
    Nothing,
    /// The closing value of a generic `for`, which its last instruction closes; other ways
    /// out of the loop have to.
    ForState,
    /// A variable that is declared `<close>`.
    Variable,
}

/// What an instruction that leaves blocks has to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closing {
    Nothing,
    Upvalues,
    /// Variables that are to be closed, too.
    All,
}

impl BlockScope {
    /// What to close at the block's end. A generic `for` has an instruction there in C Lua, which hooks see.
    fn closing(&self) -> Closing {
        match self.to_close {
            ToClose::Variable => Closing::All,
            ToClose::ForState => Closing::Upvalues,
            ToClose::Nothing if self.has_captured => Closing::Upvalues,
            ToClose::Nothing => Closing::Nothing,
        }
    }

    /// What to close where a `goto` or `break` leaves the block.
    fn closing_early(&self) -> Closing {
        if self.to_close == ToClose::Nothing { self.closing() } else { Closing::All }
    }
}

impl<'s> FunctionState<'s> {
    // ---- variables ----

    /// The registers that local variables occupy.
    pub(super) fn local_registers(&self) -> Reg {
        self.register_level(self.locals.len())
    }

    /// The registers that the first `count` variables in scope occupy.
    fn register_level(&self, count: usize) -> Reg {
        let in_register =
            self.locals[..count].iter().rfind(|l| !matches!(l.kind, VariableKind::Constant(_)));
        in_register.map_or(Reg(0), |local| local.register + 1)
    }

    /// Brings a variable into scope; its value is in the next local register already.
    pub(super) fn activate(&mut self, name: &'s [u8], kind: VariableKind<'s>) {
        let register = self.local_registers();
        let info = self.local_vars.len();
        if !matches!(kind, VariableKind::Constant(_)) {
            self.local_vars.push(LocalVar {
                name: name.into(),
                start_pc: self.pc() as u32,
                end_pc: u32::MAX,
                register,
            });
        }
        self.locals.push(LocalScope { name, kind, register, info });
    }

    /// The debug range of the newest variable starts here.
    pub(super) fn restart_newest(&mut self) {
        let start = self.pc() as u32;
        if let Some(info) = self.local_vars.last_mut() {
            info.start_pc = start;
        }
    }

    fn remove_locals(&mut self, count: usize) {
        let end = self.pc() as u32;
        for local in self.locals.drain(count..) {
            if !matches!(local.kind, VariableKind::Constant(_)) {
                self.local_vars[local.info].end_pc = end;
            }
        }
    }

    pub(super) fn find_local(&self, name: &[u8]) -> Option<usize> {
        self.locals.iter().rposition(|local| local.name == name)
    }

    pub(super) fn find_upvalue(&self, name: &[u8]) -> Option<usize> {
        self.upvalues.iter().position(|upvalue| upvalue.name == name)
    }

    /// A closure captures the variable with this index.
    pub(super) fn mark_captured(&mut self, local: usize) {
        let owner = self.blocks.iter_mut().rfind(|block| block.outer_locals <= local);
        owner.expect("the outermost block owns the parameters").has_captured = true;
        self.needs_close = true;
    }

    // ---- blocks ----

    pub(super) fn enter_block(&mut self, kind: BlockKind) {
        self.blocks.push(BlockScope {
            kind,
            outer_locals: self.locals.len(),
            first_label: self.labels.len(),
            first_goto: self.gotos.len(),
            has_captured: false,
            to_close: ToClose::Nothing,
            is_inside_to_close: self.is_inside_to_close(),
        });
    }

    /// A variable of the innermost block is to be closed.
    pub(super) fn mark_to_close(&mut self) {
        self.mark(ToClose::Variable);
    }

    /// The innermost block is a generic `for`, whose fourth value is to be closed.
    pub(super) fn mark_for_state_to_close(&mut self) {
        self.mark(ToClose::ForState);
    }

    fn mark(&mut self, what: ToClose) {
        let block = self.blocks.last_mut().expect("a block is open");
        block.to_close = what;
        block.is_inside_to_close = true;
    }

    /// Whether something may have to be closed where a function returns from here.
    pub(super) fn is_inside_to_close(&self) -> bool {
        self.blocks.last().is_some_and(|block| block.is_inside_to_close)
    }

    /// Closes what has to be closed at the end of the innermost block.
    pub(super) fn close_block(&mut self) {
        let block = self.blocks.last().expect("a block is open");
        let (closing, level) = (block.closing(), self.register_level(block.outer_locals));
        self.emit_close(closing, level);
    }

    fn emit_close(&mut self, closing: Closing, from: Reg) {
        match closing {
            Closing::Nothing => {}
            Closing::Upvalues => {
                self.emit(Op::Close { from });
            }
            Closing::All => {
                self.emit(Op::CloseAll { from });
            }
        }
    }

    /// Ends the innermost block; `line` is the one to report for its unresolved gotos.
    pub(super) fn leave_block(&mut self, line: u32) -> Result<(), SyntaxError> {
        let block = self.blocks.pop().expect("a block is open");
        let is_function = self.blocks.is_empty();
        let level = self.register_level(block.outer_locals);
        // Gotos that leave the block are judged by the variables it has now.
        self.move_gotos_out(&block, level);
        self.remove_locals(block.outer_locals);
        self.labels.truncate(block.first_label);
        let has_closed = block.kind == BlockKind::Loop
            && self.define_label(BREAK, 0, block.outer_locals, block.first_goto, line)?;
        if !has_closed && !is_function {
            self.emit_close(block.closing(), level);
        }
        self.labels.truncate(block.first_label);
        self.free_register = level;
        match self.gotos.first_since(block.first_goto) {
            Some(goto) if is_function => Err(self.undefined_goto(goto, line)),
            _ => Ok(()),
        }
    }

    fn move_gotos_out(&mut self, block: &BlockScope, level: Reg) {
        let mut gotos = core::mem::take(&mut self.gotos);
        for goto in gotos.since_mut(block.first_goto) {
            let leaves_variables = self.register_level(goto.locals) > level;
            if leaves_variables {
                goto.closing = goto.closing.max(block.closing_early());
            }
            goto.locals = goto.locals.min(block.outer_locals);
        }
        self.gotos = gotos;
    }

    fn undefined_goto(&self, goto: &PendingGoto<'_>, line: u32) -> SyntaxError {
        let message = if goto.name == BREAK {
            format!("break outside loop at line {}", goto.line)
        } else {
            let name = String::from_utf8_lossy(goto.name);
            format!("no visible label '{name}' for <goto> at line {}", goto.line)
        };
        SyntaxError::new(&self.source, line, &message)
    }

    // ---- labels and gotos ----

    /// Defines a source label. `is_last`: nothing but labels follows it in its block, so it counts
    /// as outside the scope of the block's variables.
    pub(super) fn label(
        &mut self,
        name: &'s [u8],
        label_line: u32,
        is_last: bool,
        line: u32,
    ) -> Result<(), SyntaxError> {
        if let Some(label) = self.labels.find(name) {
            let name = String::from_utf8_lossy(name);
            let message = format!("label '{name}' already defined on line {}", label.line);
            return Err(SyntaxError::new(&self.source, line, &message));
        }
        let block = self.blocks.last().expect("a block is open");
        let (outer, first_goto) = (block.outer_locals, block.first_goto);
        let locals = if is_last { outer } else { self.locals.len() };
        self.define_label(name, label_line, locals, first_goto, line)?;
        Ok(())
    }

    /// Defines a label here, and directs the pending gotos for it, from `first_goto` on, to this
    /// place. Returns whether it had to close upvalues for them.
    fn define_label(
        &mut self,
        name: &'s [u8],
        label_line: u32,
        locals: usize,
        first_goto: usize,
        line: u32,
    ) -> Result<bool, SyntaxError> {
        let pc = self.here();
        self.labels.push(Label { name, line: label_line, pc, locals });
        let mut closing = Closing::Nothing;
        for goto in self.gotos.take(name, first_goto) {
            if goto.locals < locals {
                let variable = String::from_utf8_lossy(self.locals[goto.locals].name);
                let name = String::from_utf8_lossy(name);
                let message = format!(
                    "<goto {name}> at line {} jumps into the scope of local '{variable}'",
                    goto.line
                );
                return Err(SyntaxError::new(&self.source, line, &message));
            }
            closing = closing.max(goto.closing);
            self.patch(goto.jumps, pc);
        }
        self.emit_close(closing, self.local_registers());
        Ok(closing != Closing::Nothing)
    }

    /// `goto name`
    pub(super) fn goto(&mut self, name: &'s [u8], line: u32) {
        let Some(label) = self.labels.find(name) else {
            let jumps = self.jump();
            self.add_goto(name, line, jumps);
            return;
        };
        let (pc, level) = (label.pc, self.register_level(label.locals));
        // Whether a closure captures a variable may become known only later in the source.
        if self.local_registers() > level {
            let closing = if self.is_inside_to_close() { Closing::All } else { Closing::Upvalues };
            self.emit_close(closing, level);
        }
        self.jump_back(pc);
    }

    /// Branches that leave the innermost loop.
    pub(super) fn break_with(&mut self, jumps: JumpList, line: u32) {
        self.add_goto(BREAK, line, jumps);
    }

    fn add_goto(&mut self, name: &'s [u8], line: u32, jumps: JumpList) {
        let locals = self.locals.len();
        self.gotos.push(PendingGoto { name, line, jumps, locals, closing: Closing::Nothing });
    }
}
