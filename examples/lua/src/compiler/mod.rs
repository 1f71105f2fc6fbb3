//! The compiler: syntax tree to bytecode.
//!
//! One walk over the tree of [`crate::syntax`] emits the instructions of all functions. [`compile`]
//! may be called at any time; nothing here touches the heap.
//!
//! Layers, from the bottom: `exp` (descriptors), `function` (instructions, constants, registers),
//! `jumps` (labels, gotos), `scope` (variables, blocks), `discharge` and `operators` (code for
//! expressions), `expression` and `statement` (the walk). `debug` reads finished code to name things
//! in error messages, `disassembly` prints it.
//!
//! # Invariants
//! * After each statement the temporaries are gone: `free_register` is the number of local
//!   registers.
//! * Recursion follows the tree, whose depth the parser bounds.

mod debug;
mod disassembly;
mod discharge;
mod exp;
mod expression;
mod function;
mod jumps;
mod operators;
mod scope;
mod statement;

#[cfg(test)]
mod tests;

use std::mem;
use std::sync::Arc;

pub use self::debug::{
    NameKind, describe_call, describe_register, first_temporary, local_variable, upvalue_name,
};
pub use crate::syntax::{SyntaxError, chunk_id};

use self::function::FunctionState;
use self::scope::{BlockKind, UpvalueScope, VariableKind};
use crate::bytecode::{Child, Count, Op, ProtoData, Reg, Up, UpvalSource};
use crate::syntax::ast::{Function, Name};
use crate::syntax::lexer::{Lexer, Token};
use crate::syntax::parser::{parse, too_many};

/// Upvalues that one function may have.
const MAX_UPVALUES: usize = 255;

/// The upvalue that holds the globals.
const ENVIRONMENT: &[u8] = b"_ENV";

/// Compiles a chunk to the prototype of its main function.
///
/// `chunk_name` follows C Lua's convention, see [`chunk_id`]. Statements and expressions may nest
/// `max_depth` deep, but never deeper than [`MAX_DEPTH`](crate::syntax::MAX_DEPTH).
///
/// # Errors
/// The first error of the source; its message has chunk and line in front.
pub fn compile(
    source: &[u8],
    chunk_name: &str,
    max_depth: usize,
) -> Result<ProtoData, SyntaxError> {
    if u32::try_from(source.len()).is_err() {
        return Err(SyntaxError::new(chunk_name, 1, "chunk is too large"));
    }
    let tree = parse(source, chunk_name, max_depth)?;
    let mut compiler = Compiler {
        chunk_name,
        current: FunctionState::new(source, Arc::from(chunk_name), 0, 0),
        enclosing: Vec::new(),
    };
    compiler.current.upvalues.push(UpvalueScope {
        name: ENVIRONMENT,
        source: UpvalSource::ParentRegister(Reg(0)),
        is_read_only: false,
    });
    compiler.function_body(&tree)?;
    Ok(compiler.current.finish())
}

/// Walks the tree. `enclosing` are the unfinished functions around `current`, outermost first.
struct Compiler<'s> {
    chunk_name: &'s str,
    current: FunctionState<'s>,
    enclosing: Vec<FunctionState<'s>>,
}

/// How far C Lua, which compiles while it reads, has got in the source: the token that its messages
/// show.
#[derive(Clone, Copy)]
struct Reached {
    /// Byte offset after a token.
    end: u32,
    /// The number of tokens after that one that have also been read.
    further: u8,
}

impl Reached {
    fn after(end: u32) -> Reached {
        Reached { end, further: 0 }
    }

    /// An error at the token that comes next.
    #[cold]
    fn error(self, text: &[u8], chunk_name: &str, message: &str) -> SyntaxError {
        let mut lexer = Lexer::new(text, chunk_name);
        let mut further = self.further;
        loop {
            let lexeme = match lexer.next_lexeme() {
                Ok(lexeme) => lexeme,
                Err(error) => return error,
            };
            let is_last = lexeme.token == Token::Eof;
            if !is_last && lexeme.end <= self.end as usize {
                continue;
            }
            if is_last || further == 0 {
                let error = SyntaxError::new(chunk_name, lexeme.line, message);
                return error.near(&lexer.show(&lexeme));
            }
            further -= 1;
        }
    }
}

/// What a name means.
enum Resolved<'s> {
    Local(usize),
    Upvalue(Up),
    Constant(exp::ConstantValue<'s>),
    Global,
}

impl<'s> Compiler<'s> {
    /// Compiles a nested function and returns the index of its prototype.
    fn nested_function(&mut self, function: &Function<'s>) -> Result<Child, SyntaxError> {
        let source = Arc::clone(&self.current.source);
        let text = self.current.text;
        let state = FunctionState::new(text, source, function.line, function.last_line);
        self.enclosing.push(mem::replace(&mut self.current, state));
        self.function_body(function)?;
        let outer = self.enclosing.pop().expect("pushed above");
        let proto = mem::replace(&mut self.current, outer).finish();
        self.current.protos.push(proto);
        Ok(Child(self.current.protos.len() as u32 - 1))
    }

    fn function_body(&mut self, function: &Function<'s>) -> Result<(), SyntaxError> {
        let state = &mut self.current;
        state.enter_block(BlockKind::Plain);
        state.is_vararg = function.is_vararg;
        state.num_params = function.params.len() as u8;
        for param in &function.params {
            state.activate(param.text, VariableKind::Regular);
        }
        state.reserve(function.params.len())?;
        if function.is_vararg {
            state.emit(Op::VarArgPrep { params: state.num_params });
        }
        self.statements(&function.body)?;
        let state = &mut self.current;
        state.line = function.last_line;
        state.emit(if state.is_inside_to_close() {
            Op::ReturnCloseAll { first: Reg(0), count: Count(0) }
        } else {
            Op::Return0
        });
        state.leave_block(function.next_line)
    }

    /// Finds the variable called `name`, and makes it an upvalue of all functions in between.
    fn resolve(&mut self, name: &Name<'s>) -> Result<Resolved<'s>, SyntaxError> {
        if let Some(local) = self.current.find_local(name.text) {
            return Ok(match &self.current.locals[local].kind {
                VariableKind::Constant(value) => Resolved::Constant(value.clone()),
                _ => Resolved::Local(local),
            });
        }
        if let Some(index) = self.current.find_upvalue(name.text) {
            return Ok(Resolved::Upvalue(Up(index as u8)));
        }
        for level in (0..self.enclosing.len()).rev() {
            let function = &mut self.enclosing[level];
            if let Some(local) = function.find_local(name.text) {
                let variable = &function.locals[local];
                let (register, is_read_only) = match &variable.kind {
                    VariableKind::Constant(value) => return Ok(Resolved::Constant(value.clone())),
                    VariableKind::ReadOnly => (variable.register, true),
                    VariableKind::Regular => (variable.register, false),
                };
                function.mark_captured(local);
                let source = UpvalSource::ParentRegister(register);
                return self.capture(name, level, source, is_read_only).map(Resolved::Upvalue);
            }
            if let Some(index) = function.find_upvalue(name.text) {
                let is_read_only = function.upvalues[index].is_read_only;
                let source = UpvalSource::ParentUpvalue(Up(index as u8));
                return self.capture(name, level, source, is_read_only).map(Resolved::Upvalue);
            }
        }
        Ok(Resolved::Global)
    }

    /// Adds an upvalue to every function inside the one at `level`, which has the variable in
    /// `source`.
    fn capture(
        &mut self,
        name: &Name<'s>,
        level: usize,
        mut source: UpvalSource,
        is_read_only: bool,
    ) -> Result<Up, SyntaxError> {
        let mut index = Up(0);
        for inner in level + 1..=self.enclosing.len() {
            let function = match self.enclosing.get_mut(inner) {
                Some(function) => function,
                None => &mut self.current,
            };
            if function.upvalues.len() >= MAX_UPVALUES {
                let message = too_many("upvalues", MAX_UPVALUES, function.line_defined);
                return Err(Reached::after(name.end).error(
                    self.current.text,
                    self.chunk_name,
                    &message,
                ));
            }
            index = Up(function.upvalues.len() as u8);
            function.upvalues.push(UpvalueScope { name: name.text, source, is_read_only });
            source = UpvalSource::ParentUpvalue(index);
        }
        Ok(index)
    }

    fn error(&self, line: u32, message: &str) -> SyntaxError {
        SyntaxError::new(self.chunk_name, line, message)
    }
}
