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
//! * Parameters arrive in `R[0..num_params]`; missing ones are nil. A register above the live
//!   locals has no defined content before the compiler writes it, but a collector may see it: the VM
//!   should fill a new frame with nil.
//! * **B10** The main prototype is vararg and has one upvalue, `_ENV`; its `UpvalSource` is unused.

use std::sync::Arc;

/// Count operand that means "an open list, up to `top`" (as an input) or "keep all results and set
/// `top`" (as an output). Fixed counts are always smaller.
pub const MULTI: u8 = u8::MAX;

/// No function needs more registers than this, which is also the limit of C Lua.
pub const MAX_REGISTERS: usize = 254;

/// One instruction, eight bytes.
///
/// *Arithmetic.* `Op` forms take two registers, `OpI` forms an integer immediate on the right,
/// `OpK` forms a numeric constant on the right. `flip` says that source code had the constant on
/// the left (only commutative operators do that): the result is the same, but a metamethod gets
/// the operands in source order. Integer operations wrap. Fast paths look at numbers only; strings
/// that look like numbers and metamethods (`__add` ...) belong to the slow path.
///
/// *Branches.* Comparisons jump themselves: `Lt` jumps when the comparison holds, `NotLt` when it
/// does not (which differs from `Ge` for NaN and for metamethods).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant's formula explains its operands")]
pub enum Op {
    // ---- loads and moves ----
    /// `R[dst] = R[src]`
    Move { dst: u8, src: u8 },
    /// `R[dst] = value` as an integer
    LoadI { dst: u8, value: i32 },
    /// `R[dst] = K[k]` (number or string)
    LoadK { dst: u8, k: u32 },
    /// `R[first .. first + count] = nil`, `count >= 1`
    LoadNil { first: u8, count: u8 },
    /// `R[dst] = false`
    LoadFalse { dst: u8 },
    /// `R[dst] = true`
    LoadTrue { dst: u8 },
    /// `R[dst] = false; pc += 1`: skips the `LoadTrue` that always follows it. The pair turns a
    /// comparison into a value.
    LoadFalseSkip { dst: u8 },

    // ---- upvalues and globals ----
    /// `R[dst] = U[upval]`
    GetUpval { dst: u8, upval: u8 },
    /// `U[upval] = R[src]`
    SetUpval { upval: u8, src: u8 },
    /// `R[dst] = U[upval][K[key]]` with `__index`; in practice a global read through `_ENV`
    GetTabUp { dst: u8, upval: u8, key: u32 },
    /// `U[upval][K[key]] = R[value]` with `__newindex`
    SetTabUp { upval: u8, value: u8, key: u32 },

    // ---- tables ----
    /// `R[dst] = R[table][R[key]]` with `__index`
    GetIndex { dst: u8, table: u8, key: u8 },
    /// `R[dst] = R[table][index]`, integer key, with `__index`
    GetInt { dst: u8, table: u8, index: i32 },
    /// `R[dst] = R[table][K[key]]`, string key, with `__index`
    GetField { dst: u8, table: u8, key: u32 },
    /// `R[table][R[key]] = R[value]` with `__newindex`
    SetIndex { table: u8, key: u8, value: u8 },
    /// `R[table][R[key]] = K[value]` with `__newindex`; `K[value]` is any constant, nil and
    /// booleans included
    SetIndexK { table: u8, key: u8, value: u32 },
    /// `R[table][index] = R[value]`, integer key, with `__newindex`
    SetInt { table: u8, value: u8, index: i32 },
    /// `R[table][K[key]] = R[value]`, string key, with `__newindex`
    SetField { table: u8, value: u8, key: u32 },
    /// `R[table][K[key]] = K[value]`, string key, any constant value, with `__newindex`
    SetFieldK { table: u8, key: u16, value: u32 },
    /// `R[dst + 1] = R[object]; R[dst] = R[object][K[key]]` with `__index`: prepares `o:m(...)`.
    /// Read `R[object]` first: `dst` or `dst + 1` may be `object`.
    SelfField { dst: u8, object: u8, key: u32 },
    /// `R[dst] = {}` with size hints. `hash` saturates at 65535; both may be 0.
    NewTable { dst: u8, hash: u16, array: u32 },
    /// `R[table][first + i] = R[table + 1 + i]` for `0 <= i < count`, raw (no metamethods: the
    /// table is fresh). `count == MULTI`: up to `top`. `first >= 1`.
    SetList { table: u8, count: u8, first: u32 },

    // ---- arithmetic on registers: R[dst] = R[lhs] op R[rhs] ----
    /// `+`, event `__add`
    Add { dst: u8, lhs: u8, rhs: u8 },
    /// `-`, event `__sub`
    Sub { dst: u8, lhs: u8, rhs: u8 },
    /// `*`, event `__mul`
    Mul { dst: u8, lhs: u8, rhs: u8 },
    /// `/`, always float, event `__div`
    Div { dst: u8, lhs: u8, rhs: u8 },
    /// `//`, rounds towards minus infinity, event `__idiv`; integer division by zero is an error
    IDiv { dst: u8, lhs: u8, rhs: u8 },
    /// `%`, sign of the divisor, event `__mod`; integer modulo by zero is an error
    Mod { dst: u8, lhs: u8, rhs: u8 },
    /// `^`, always float, event `__pow`
    Pow { dst: u8, lhs: u8, rhs: u8 },
    /// `&` on integers (and floats with an exact integer value), event `__band`
    BAnd { dst: u8, lhs: u8, rhs: u8 },
    /// `|`, event `__bor`
    BOr { dst: u8, lhs: u8, rhs: u8 },
    /// `~`, event `__bxor`
    BXor { dst: u8, lhs: u8, rhs: u8 },
    /// `<<`, logical, event `__shl`; counts of 64 and more give 0, negative counts shift right
    Shl { dst: u8, lhs: u8, rhs: u8 },
    /// `>>`, logical, event `__shr`
    Shr { dst: u8, lhs: u8, rhs: u8 },

    // ---- arithmetic with an integer immediate: R[dst] = R[lhs] op imm ----
    /// `R[lhs] + imm` (`imm + R[lhs]` if `flip`)
    AddI { dst: u8, lhs: u8, flip: bool, imm: i32 },
    /// `R[lhs] - imm`
    SubI { dst: u8, lhs: u8, imm: i32 },
    /// `R[lhs] * imm` (`imm * R[lhs]` if `flip`)
    MulI { dst: u8, lhs: u8, flip: bool, imm: i32 },
    /// `R[lhs] / imm`
    DivI { dst: u8, lhs: u8, imm: i32 },
    /// `R[lhs] // imm`; `imm` may be 0
    IDivI { dst: u8, lhs: u8, imm: i32 },
    /// `R[lhs] % imm`; `imm` may be 0
    ModI { dst: u8, lhs: u8, imm: i32 },
    /// `R[lhs] ^ imm`
    PowI { dst: u8, lhs: u8, imm: i32 },
    /// `R[lhs] & imm`, `imm` sign-extended to 64 bits
    BAndI { dst: u8, lhs: u8, flip: bool, imm: i32 },
    /// `R[lhs] | imm`, sign-extended
    BOrI { dst: u8, lhs: u8, flip: bool, imm: i32 },
    /// `R[lhs] ~ imm`, sign-extended
    BXorI { dst: u8, lhs: u8, flip: bool, imm: i32 },
    /// `R[lhs] << imm`; `imm` may be negative or larger than 63
    ShlI { dst: u8, lhs: u8, imm: i32 },
    /// `R[lhs] >> imm`
    ShrI { dst: u8, lhs: u8, imm: i32 },

    // ---- arithmetic with a numeric constant: R[dst] = R[lhs] op K[k] ----
    /// `R[lhs] + K[k]` (`K[k] + R[lhs]` if `flip`)
    AddK { dst: u8, lhs: u8, flip: bool, k: u32 },
    /// `R[lhs] - K[k]`
    SubK { dst: u8, lhs: u8, k: u32 },
    /// `R[lhs] * K[k]` (`K[k] * R[lhs]` if `flip`)
    MulK { dst: u8, lhs: u8, flip: bool, k: u32 },
    /// `R[lhs] / K[k]`
    DivK { dst: u8, lhs: u8, k: u32 },
    /// `R[lhs] // K[k]`
    IDivK { dst: u8, lhs: u8, k: u32 },
    /// `R[lhs] % K[k]`
    ModK { dst: u8, lhs: u8, k: u32 },
    /// `R[lhs] ^ K[k]`
    PowK { dst: u8, lhs: u8, k: u32 },
    /// `R[lhs] & K[k]`
    BAndK { dst: u8, lhs: u8, flip: bool, k: u32 },
    /// `R[lhs] | K[k]`
    BOrK { dst: u8, lhs: u8, flip: bool, k: u32 },
    /// `R[lhs] ~ K[k]`
    BXorK { dst: u8, lhs: u8, flip: bool, k: u32 },

    // ---- unary ----
    /// `R[dst] = -R[src]`, event `__unm`
    Unm { dst: u8, src: u8 },
    /// `R[dst] = ~R[src]`, event `__bnot`
    BNot { dst: u8, src: u8 },
    /// `R[dst] = not R[src]`
    Not { dst: u8, src: u8 },
    /// `R[dst] = #R[src]`, event `__len`
    Len { dst: u8, src: u8 },
    /// `R[dst] = R[first] .. (R[first + 1] .. (...))` over `count >= 2` registers, event
    /// `__concat`. Right associative; the source registers are temporaries, so the VM may use them
    /// as scratch space (for instance to keep the partial result while a metamethod runs).
    Concat { dst: u8, first: u8, count: u8 },

    // ---- jumps and tests ----
    /// `pc += offset`, `offset >= 0`
    Jmp { offset: i32 },
    /// `pc += offset`, `offset < 0`: a loop's back edge; poll for a safepoint
    JmpBack { offset: i32 },
    /// if `R[src]` is true (neither nil nor false) then `pc += offset`
    JmpIf { src: u8, offset: i32 },
    /// if `R[src]` is nil or false then `pc += offset`
    JmpIfNot { src: u8, offset: i32 },
    /// if `R[src]` is true then `{ R[dst] = R[src]; pc += offset }`: `a or b` as a value
    MoveJmpIf { dst: u8, src: u8, offset: i32 },
    /// if `R[src]` is nil or false then `{ R[dst] = R[src]; pc += offset }`: `a and b` as a value
    MoveJmpIfNot { dst: u8, src: u8, offset: i32 },

    // ---- comparisons that branch ----
    /// jump if `R[lhs] == R[rhs]`, event `__eq`
    Eq { lhs: u8, rhs: u8, offset: i32 },
    /// jump unless `R[lhs] == R[rhs]`, event `__eq`
    NotEq { lhs: u8, rhs: u8, offset: i32 },
    /// jump if `R[lhs] == K[k]`, any constant (nil, booleans, strings too); raw, no metamethods
    EqK { lhs: u8, k: u16, offset: i32 },
    /// jump unless `R[lhs] == K[k]`, raw
    NotEqK { lhs: u8, k: u16, offset: i32 },
    /// jump if `R[lhs] == imm` (integer or float of that value), raw
    EqI { lhs: u8, imm: i16, offset: i32 },
    /// jump unless `R[lhs] == imm`, raw
    NotEqI { lhs: u8, imm: i16, offset: i32 },
    /// jump if `R[lhs] < R[rhs]`, event `__lt`
    Lt { lhs: u8, rhs: u8, offset: i32 },
    /// jump unless `R[lhs] < R[rhs]`, event `__lt`
    NotLt { lhs: u8, rhs: u8, offset: i32 },
    /// jump if `R[lhs] <= R[rhs]`, event `__le`
    Le { lhs: u8, rhs: u8, offset: i32 },
    /// jump unless `R[lhs] <= R[rhs]`, event `__le`
    NotLe { lhs: u8, rhs: u8, offset: i32 },
    /// jump if `R[lhs] < imm`, event `__lt(R[lhs], imm)`
    LtI { lhs: u8, imm: i16, offset: i32 },
    /// jump unless `R[lhs] < imm`
    NotLtI { lhs: u8, imm: i16, offset: i32 },
    /// jump if `R[lhs] <= imm`, event `__le(R[lhs], imm)`
    LeI { lhs: u8, imm: i16, offset: i32 },
    /// jump unless `R[lhs] <= imm`
    NotLeI { lhs: u8, imm: i16, offset: i32 },
    /// jump if `R[lhs] > imm`, event `__lt(imm, R[lhs])`
    GtI { lhs: u8, imm: i16, offset: i32 },
    /// jump unless `R[lhs] > imm`
    NotGtI { lhs: u8, imm: i16, offset: i32 },
    /// jump if `R[lhs] >= imm`, event `__le(imm, R[lhs])`
    GeI { lhs: u8, imm: i16, offset: i32 },
    /// jump unless `R[lhs] >= imm`
    NotGeI { lhs: u8, imm: i16, offset: i32 },

    // ---- calls ----
    /// `R[func], R[func + 1], ... = R[func](R[func + 1], ..., R[func + args])`. `args == MULTI`:
    /// arguments run up to `top`. Exactly `results` values are stored from `R[func]` on, padded
    /// with nil; `results == MULTI`: all of them, and `top` is set after the last.
    Call { func: u8, args: u8, results: u8 },
    /// `return R[func](...)` in the caller's frame. `close`: close all upvalues of this frame
    /// first. A native function may be called like `Call` + `Return`.
    TailCall { func: u8, args: u8, close: bool },
    /// return `R[first .. first + count]`; `count == MULTI`: up to `top`. `close`: close all
    /// upvalues of this frame first.
    Return { first: u8, count: u8, close: bool },
    /// return nothing; the frame is not vararg and has no open upvalues
    Return0,
    /// return `R[src]`; the frame is not vararg and has no open upvalues
    Return1 { src: u8 },
    /// First instruction of a vararg function: keep the arguments after the first `params` for
    /// `VarArg`. (A VM that does that when it sets up the frame may treat it as a no-op.)
    VarArgPrep { params: u8 },
    /// `R[dst], R[dst + 1], ... = ...`: `count` extra arguments padded with nil; `MULTI`: all of
    /// them, and `top` is set after the last.
    VarArg { dst: u8, count: u8 },
    /// `R[dst] = closure(P[proto])`, capturing per [`UpvalDesc`] of that prototype
    Closure { dst: u8, proto: u32 },
    /// close every open upvalue of this frame that refers to `R[from]` or above
    Close { from: u8 },

    // ---- loops ----
    /// Numeric `for`, entry. In: `R[base]` initial value, `R[base + 1]` limit, `R[base + 2]` step.
    /// If initial value and step are integers the loop is an integer loop; a float limit is then
    /// rounded (down for a positive step, up for a negative one) and clipped to the integers.
    /// Otherwise all three are converted to floats. Errors: "'for' step is zero", "'for' initial
    /// value must be a number" ("limit", "step" likewise; strings are not converted). If the loop
    /// does not run: `pc += offset`, which lands after the `ForLoop`. Else, in an integer loop,
    /// `R[base + 1]` becomes the number of *further* iterations, an unsigned count kept in an
    /// `Int`; in a float loop the limit stays. Both: `R[base + 3] = R[base]`, the visible
    /// variable.
    ForPrep { base: u8, offset: i32 },
    /// Numeric `for`, back edge. Integer loop (`R[base + 2]` is an `Int`): if `R[base + 1] as u64 >
    /// 0`, decrement it, `R[base] += R[base + 2]` (wrapping), copy to `R[base + 3]`, `pc += offset`.
    /// Float loop: `R[base] += R[base + 2]`; if still within the limit (`<=` for a positive step,
    /// `>=` otherwise) copy to `R[base + 3]` and `pc += offset`. The body's first instruction is
    /// the one after `ForPrep`.
    ForLoop { base: u8, offset: i32 },
    /// Generic `for`: `R[base + 4 .. base + 4 + count] = R[base](R[base + 1], R[base + 2])`,
    /// `count >= 1`. `R[base + 3]` is the (unsupported) closing value. The registers
    /// `base + 4 .. base + 7` are free for setting up the call.
    TForCall { base: u8, count: u8 },
    /// Generic `for`, back edge: if `R[base + 4]` is not nil then `{ R[base + 2] = R[base + 4]; pc +=
    /// offset }`
    TForLoop { base: u8, offset: i32 },
}

const _: () = assert!(size_of::<Op>() == 8);

/// Where the value of a metamethod call that an instruction started goes, once it has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Store the first result (nil if none) in this register.
    Register(u8),
    /// Convert the first result to a boolean; if it equals `when`, `pc += offset`.
    Branch {
        /// the truth value for which the branch is taken
        when: bool,
        /// the branch
        offset: i32,
    },
    /// Drop all results (`__newindex`).
    Discard,
    /// The partial result of a concatenation: see [`Op::Concat`].
    Concat,
    /// The instruction calls no metamethod in this way.
    None,
}

impl Op {
    /// Where the result of a metamethod of this instruction goes.
    pub fn outcome(self) -> Outcome {
        use Op::*;
        match self {
            GetTabUp { dst, .. }
            | GetIndex { dst, .. }
            | GetInt { dst, .. }
            | GetField { dst, .. }
            | SelfField { dst, .. }
            | Add { dst, .. }
            | Sub { dst, .. }
            | Mul { dst, .. }
            | Div { dst, .. }
            | IDiv { dst, .. }
            | Mod { dst, .. }
            | Pow { dst, .. }
            | BAnd { dst, .. }
            | BOr { dst, .. }
            | BXor { dst, .. }
            | Shl { dst, .. }
            | Shr { dst, .. }
            | AddI { dst, .. }
            | SubI { dst, .. }
            | MulI { dst, .. }
            | DivI { dst, .. }
            | IDivI { dst, .. }
            | ModI { dst, .. }
            | PowI { dst, .. }
            | BAndI { dst, .. }
            | BOrI { dst, .. }
            | BXorI { dst, .. }
            | ShlI { dst, .. }
            | ShrI { dst, .. }
            | AddK { dst, .. }
            | SubK { dst, .. }
            | MulK { dst, .. }
            | DivK { dst, .. }
            | IDivK { dst, .. }
            | ModK { dst, .. }
            | PowK { dst, .. }
            | BAndK { dst, .. }
            | BOrK { dst, .. }
            | BXorK { dst, .. }
            | Unm { dst, .. }
            | BNot { dst, .. }
            | Len { dst, .. } => Outcome::Register(dst),
            SetTabUp { .. }
            | SetIndex { .. }
            | SetIndexK { .. }
            | SetInt { .. }
            | SetField { .. }
            | SetFieldK { .. } => Outcome::Discard,
            Eq { offset, .. }
            | Lt { offset, .. }
            | Le { offset, .. }
            | LtI { offset, .. }
            | LeI { offset, .. }
            | GtI { offset, .. }
            | GeI { offset, .. } => Outcome::Branch { when: true, offset },
            NotEq { offset, .. }
            | NotLt { offset, .. }
            | NotLe { offset, .. }
            | NotLtI { offset, .. }
            | NotLeI { offset, .. }
            | NotGtI { offset, .. }
            | NotGeI { offset, .. } => Outcome::Branch { when: false, offset },
            Concat { .. } => Outcome::Concat,
            _ => Outcome::None,
        }
    }

    /// The register that gets the (first) result, for instructions whose result can go anywhere.
    pub(crate) fn destination_mut(&mut self) -> Option<&mut u8> {
        use Op::*;
        match self {
            Move { dst, .. }
            | LoadI { dst, .. }
            | LoadK { dst, .. }
            | LoadFalse { dst }
            | LoadTrue { dst }
            | GetUpval { dst, .. }
            | NewTable { dst, .. }
            | Not { dst, .. }
            | Concat { dst, .. }
            | VarArg { dst, .. }
            | Closure { dst, .. }
            | GetTabUp { dst, .. }
            | GetIndex { dst, .. }
            | GetInt { dst, .. }
            | GetField { dst, .. }
            | SelfField { dst, .. }
            | Add { dst, .. }
            | Sub { dst, .. }
            | Mul { dst, .. }
            | Div { dst, .. }
            | IDiv { dst, .. }
            | Mod { dst, .. }
            | Pow { dst, .. }
            | BAnd { dst, .. }
            | BOr { dst, .. }
            | BXor { dst, .. }
            | Shl { dst, .. }
            | Shr { dst, .. }
            | AddI { dst, .. }
            | SubI { dst, .. }
            | MulI { dst, .. }
            | DivI { dst, .. }
            | IDivI { dst, .. }
            | ModI { dst, .. }
            | PowI { dst, .. }
            | BAndI { dst, .. }
            | BOrI { dst, .. }
            | BXorI { dst, .. }
            | ShlI { dst, .. }
            | ShrI { dst, .. }
            | AddK { dst, .. }
            | SubK { dst, .. }
            | MulK { dst, .. }
            | DivK { dst, .. }
            | IDivK { dst, .. }
            | ModK { dst, .. }
            | PowK { dst, .. }
            | BAndK { dst, .. }
            | BOrK { dst, .. }
            | BXorK { dst, .. }
            | Unm { dst, .. }
            | BNot { dst, .. }
            | Len { dst, .. } => Some(dst),
            _ => None,
        }
    }

    /// The branch offset, for every instruction that can jump with one.
    pub fn offset(self) -> Option<i32> {
        let mut copy = self;
        copy.offset_mut().map(|offset| *offset)
    }

    /// The branch offset, to patch it.
    pub(crate) fn offset_mut(&mut self) -> Option<&mut i32> {
        use Op::*;
        match self {
            Jmp { offset }
            | JmpBack { offset }
            | JmpIf { offset, .. }
            | JmpIfNot { offset, .. }
            | MoveJmpIf { offset, .. }
            | MoveJmpIfNot { offset, .. }
            | Eq { offset, .. }
            | NotEq { offset, .. }
            | EqK { offset, .. }
            | NotEqK { offset, .. }
            | EqI { offset, .. }
            | NotEqI { offset, .. }
            | Lt { offset, .. }
            | NotLt { offset, .. }
            | Le { offset, .. }
            | NotLe { offset, .. }
            | LtI { offset, .. }
            | NotLtI { offset, .. }
            | LeI { offset, .. }
            | NotLeI { offset, .. }
            | GtI { offset, .. }
            | NotGtI { offset, .. }
            | GeI { offset, .. }
            | NotGeI { offset, .. }
            | ForPrep { offset, .. }
            | ForLoop { offset, .. }
            | TForLoop { offset, .. } => Some(offset),
            _ => None,
        }
    }
}

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
    ParentRegister(u8),
    /// It is this upvalue of the enclosing function: share it.
    ParentUpvalue(u8),
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
    pub register: u8,
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
