//! The register bytecode: what the compiler emits and the virtual machine runs.
//!
//! Everything here is plain data without a heap: [`crate::compiler::compile`] builds a tree of
//! [`ProtoData`], the VM copies it into heap objects when a chunk is loaded. The instruction set
//! follows the idea of the register machine of PUC-Rio Lua 5.4; encoding and fusing are our own.
//!
//! # Notation
//! `R[x]` is register `x` of the running frame, `K[k]` constant `k` of its prototype, `U[u]` its
//! upvalue `u`, `P[p]` its child prototype `p`. `pc` is the index of the instruction *after* the
//! one that runs; a taken branch does `pc += offset`. `top` is the frame's *open end*: the index
//! after the last value of an open result list.
//!
//! # Invariants (the compiler keeps them, the VM may rely on them)
//! * BC1: Every register operand, and every register that an instruction touches implicitly
//!   (`Call` arguments, `SelfField`'s `dst + 1`, loop registers ...), is below `max_stack <= 254`.
//!   Only open lists ([`MULTI`]) reach past it; the VM grows the stack for those.
//! * BC2: Control never runs off the end: the last instruction is a return.
//! * Only [`Op::JmpBack`], [`Op::ForLoop`] and [`Op::TForLoop`] have negative offsets; every
//!   other branch goes forward. Polling for a safepoint there (and at calls) covers every loop.
//! * [`Op::TForLoop`] directly follows its [`Op::TForCall`], with the same `base`.
//! * An instruction with an open operand (`args`, `count` = [`MULTI`]) directly follows the
//!   one that set `top`: a `Call` with `results == MULTI` or a `VarArg` with `count == MULTI`.
//! * BC6: Key constants of `GetField`, `SetField`, `SetFieldK`, `GetTabUp`, `SetTabUp` and
//!   `SelfField` are strings. Constants of arithmetic `..K` instructions are `Int` or `Float`,
//!   those of bitwise ones `Int`.
//! * An instruction that may run a metamethod has one destination, see [`Op::outcome`].
//!   It reads all its operands before it writes, so `dst` may equal an operand.
//! * BC8: In a vararg function the first instruction is [`Op::VarArgPrep`], and neither `Return0`
//!   nor `Return1` occurs. They also never occur where upvalues may be open.
//! * BC9: Where a variable that is to be closed may be in scope, the closing value of a generic `for`
//!   included, blocks are left by `CloseAll` (or the end of the `for`) and functions by
//!   `ReturnCloseAll`; no `TailCall` occurs there.
//! * Parameters arrive in `R[0..num_params]`; missing ones are nil. A register above the live
//!   locals has no defined content before the compiler writes it, but a collector may see it: the VM
//!   should fill a new frame with nil.
//! * The main prototype is vararg and has one upvalue, `_ENV`; its `UpvalSource` is unused.

pub mod chunk;
mod effect;
mod op;
mod operand;
mod verify;

use std::sync::Arc;

pub use effect::{Effect, RegSet};
pub use op::{Op, Outcome};
pub use operand::{Child, Const, Count, Dst, Jump, MULTI, Operand, Reg, ShortConst, Up};
pub use verify::verify;

/// No function needs more registers than this, which is also the limit of C Lua.
pub const MAX_REGISTERS: usize = 254;

/// A constant of a function.
///
/// Constants are unique within a prototype; `Int(1)` and `Float(1.0)` are different constants, and
/// so are `0.0` and `-0.0`. NaN is never a constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// `nil` (operand of `EqK`, `SetFieldK` and the like)
    Nil,
    /// `true` or `false` (likewise)
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string: any bytes.
    Str(Box<[u8]>),
}

/// Where a closure finds one of its upvalues when it is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpvalSource {
    /// In this register of the enclosing function: find or open an upvalue for it.
    ParentRegister(Reg),
    /// It is this upvalue of the enclosing function: share it.
    ParentUpvalue(Up),
}

/// One upvalue of a prototype.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpvalDesc {
    /// The variable's name, for messages.
    pub name: Box<[u8]>,
    /// Where the closure instruction takes it from.
    pub source: UpvalSource,
}

/// Debug information about one local variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalVar {
    /// Its name; hidden loop state has names in parentheses, as in real Lua.
    pub name: Box<[u8]>,
    /// First instruction for which it is alive.
    pub start_pc: u32,
    /// First instruction for which it is dead again.
    pub end_pc: u32,
    /// The register it lives in.
    pub register: Reg,
}

/// A compiled function.
#[derive(Clone, Debug, PartialEq)]
pub struct ProtoData {
    /// The instructions, never empty.
    pub code: Vec<Op>,
    /// Source line of each instruction; as long as `code`.
    pub line_info: Vec<u32>,
    /// Constants, `K`.
    pub constants: Vec<Constant>,
    /// Functions defined inside this one, `P`.
    pub protos: Vec<ProtoData>,
    /// Upvalues, `U`; at most 255.
    pub upvalues: Vec<UpvalDesc>,
    /// Fixed parameters.
    pub num_params: u8,
    /// Whether extra arguments are kept.
    pub is_vararg: bool,
    /// Registers needed, at least 2 and at most [`MAX_REGISTERS`].
    pub max_stack: u8,
    /// The chunk's name as given (`=stdin`, `@file.lua`, or source text), shared by all functions
    /// of a chunk; [`crate::compiler::chunk_id`] makes it readable.
    pub source: Arc<str>,
    /// Line of the `function` keyword; 0 for a main chunk.
    pub line_defined: u32,
    /// Line of the closing `end`; 0 for a main chunk.
    pub last_line: u32,
    /// Local variables in order of `start_pc`.
    pub local_vars: Vec<LocalVar>,
}
