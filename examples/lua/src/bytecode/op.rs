//! The instruction set: one table.
//!
//! A row defines an instruction: its operands, whose types say what the numbers stand for
//! ([`super::operand`]); the metamethod that it may call, and where the result of that goes
//! ([`Outcome`]). The operand of type [`Dst`] is the instruction's destination, the one of type
//! [`Jump`] its branch. All that the compiler, the loop, listings and messages know about an
//! instruction is derived from its row.

use core::any::Any;

use super::chunk::{ChunkError, Coded, Input};
use super::operand::{Child, Const, Count, Dst, Jump, Operand, Reg, ShortConst, Up};

/// Where the value of a metamethod call that an instruction started goes, once it has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Store the first result (nil if none) in this register.
    Register(Dst),
    /// Convert the first result to a boolean; if it equals `when`, `pc += offset`.
    Branch {
        /// the truth value for which the branch is taken
        when: bool,
        /// the branch
        offset: Jump,
    },
    /// Drop all results (`__newindex`).
    Discard,
    /// The partial result of a concatenation: see [`Op::Concat`].
    Concat,
}

/// `Some` of an optional part of a row, `None` if the row leaves it out.
macro_rules! optional {
    () => {
        None
    };
    ($given:expr) => {
        Some($given)
    };
}

/// Makes [`Op`] and its methods from rows `Name { operand: Type, ... } => calls "event", then
/// outcome;`, of which all but the name may be missing.
macro_rules! ops {
    ($(
        $(#[$doc:meta])*
        $name:ident $({ $($operand:ident: $type:ty),* })?
        $(=> calls $event:literal, then $outcome:expr)?;
    )*) => {
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
            $($(#[$doc])* $name $({ $($operand: $type),* })?,)*
        }

        /// The rows of the table.
        enum Number { $($name,)* }

        impl Op {
            /// The event (`__add` without the underscores) of the metamethod that the instruction may
            /// call.
            #[must_use]
            pub fn event(self) -> Option<&'static str> {
                match self {
                    $(Op::$name { .. } => optional!($($event)?),)*
                }
            }

            /// Where the result of that metamethod goes.
            #[must_use]
            #[allow(unused_variables, reason = "an outcome uses few of the operands")]
            pub fn outcome(self) -> Option<Outcome> {
                use Outcome::{Branch, Concat, Discard, Register};
                match self {
                    $(Op::$name $({ $($operand),* })? => optional!($($outcome)?),)*
                }
            }

            /// All operands, in the order of the table.
            #[must_use]
            pub fn operands(self) -> Vec<Operand> {
                match self {
                    $(Op::$name $({ $($operand),* })? => vec![$($($operand.into()),*)?],)*
                }
            }

            /// The table as text, for fingerprints of the instruction set.
            pub(super) const TABLE: &'static str = concat!($(
                stringify!($name), "(", $($(stringify!($operand), ":", stringify!($type), ",",)*)? ")",
            )*);

            /// Appends the instruction to a binary chunk.
            pub(super) fn write(self, out: &mut Vec<u8>) {
                match self {
                    $(Op::$name $({ $($operand),* })? => {
                        out.push(Number::$name as u8);
                        $($($operand.write(out);)*)?
                    })*
                }
            }

            /// The instruction with this number, whose operands come next in a binary chunk.
            pub(super) fn read(number: u8, input: &mut Input<'_>) -> Result<Op, ChunkError> {
                $(if number == Number::$name as u8 {
                    return Ok(Op::$name $({ $($operand: Coded::read(input)?),* })?);
                })*
                Err(ChunkError::Malformed("an unknown instruction"))
            }

            /// The operand of type `T`, if there is one.
            fn operand_mut<T: 'static>(&mut self) -> Option<&mut T> {
                match self {
                    $(Op::$name $({ $($operand),* })? => {
                        None$($(.or(<dyn Any>::downcast_mut($operand)))*)?
                    })*
                }
            }
        }
    };
}

ops! {
    // ---- loads and moves ----
    /// `R[dst] = R[src]`
    Move { dst: Dst, src: Reg };
    /// `R[dst] = value` as an integer
    LoadI { dst: Dst, value: i32 };
    /// `R[dst] = K[k]` (number or string)
    LoadK { dst: Dst, k: Const };
    /// `R[first .. first + count] = nil`, `count >= 1`
    LoadNil { first: Reg, count: u8 };
    /// `R[dst] = false`
    LoadFalse { dst: Dst };
    /// `R[dst] = true`
    LoadTrue { dst: Dst };

    // ---- upvalues and globals ----
    /// `R[dst] = U[upval]`
    GetUpval { dst: Dst, upval: Up };
    /// `U[upval] = R[src]`
    SetUpval { upval: Up, src: Reg };
    /// `R[dst] = U[upval][K[key]]` with `__index`; in practice a global read through `_ENV`
    GetTabUp { dst: Dst, upval: Up, key: Const } => calls "index", then Register(dst);
    /// `U[upval][K[key]] = R[value]` with `__newindex`
    SetTabUp { upval: Up, value: Reg, key: Const } => calls "newindex", then Discard;

    // ---- tables ----
    /// `R[dst] = R[table][R[key]]` with `__index`
    GetIndex { dst: Dst, table: Reg, key: Reg } => calls "index", then Register(dst);
    /// `R[dst] = R[table][index]`, integer key, with `__index`
    GetInt { dst: Dst, table: Reg, index: i32 } => calls "index", then Register(dst);
    /// `R[dst] = R[table][K[key]]`, string key, with `__index`
    GetField { dst: Dst, table: Reg, key: Const } => calls "index", then Register(dst);
    /// `R[table][R[key]] = R[value]` with `__newindex`
    SetIndex { table: Reg, key: Reg, value: Reg } => calls "newindex", then Discard;
    /// `R[table][R[key]] = K[value]` with `__newindex`; `K[value]` is any constant, nil and
    /// booleans included
    SetIndexK { table: Reg, key: Reg, value: Const } => calls "newindex", then Discard;
    /// `R[table][index] = R[value]`, integer key, with `__newindex`
    SetInt { table: Reg, value: Reg, index: i32 } => calls "newindex", then Discard;
    /// `R[table][K[key]] = R[value]`, string key, with `__newindex`
    SetField { table: Reg, value: Reg, key: Const } => calls "newindex", then Discard;
    /// `R[table][K[key]] = K[value]`, string key, any constant value, with `__newindex`
    SetFieldK { table: Reg, key: ShortConst, value: Const } => calls "newindex", then Discard;
    /// `R[dst + 1] = R[object]; R[dst] = R[object][K[key]]` with `__index`: prepares `o:m(...)`.
    /// Read `R[object]` first: `dst` or `dst + 1` may be `object`.
    SelfField { dst: Dst, object: Reg, key: Const } => calls "index", then Register(dst);
    /// `R[dst] = {}` with size hints. `hash` saturates at 65535; both may be 0.
    NewTable { dst: Dst, hash: u16, array: u32 };
    /// `R[table][first + i] = R[table + 1 + i]` for `0 <= i < count`, raw (no metamethods: the
    /// table is fresh). `count == MULTI`: up to `top`. `first >= 1`.
    SetList { table: Reg, count: Count, first: u32 };

    // ---- arithmetic on registers: R[dst] = R[lhs] op R[rhs] ----
    /// `+`, event `__add`
    Add { dst: Dst, lhs: Reg, rhs: Reg } => calls "add", then Register(dst);
    /// `-`, event `__sub`
    Sub { dst: Dst, lhs: Reg, rhs: Reg } => calls "sub", then Register(dst);
    /// `*`, event `__mul`
    Mul { dst: Dst, lhs: Reg, rhs: Reg } => calls "mul", then Register(dst);
    /// `/`, always float, event `__div`
    Div { dst: Dst, lhs: Reg, rhs: Reg } => calls "div", then Register(dst);
    /// `//`, rounds towards minus infinity, event `__idiv`; integer division by zero is an error
    IDiv { dst: Dst, lhs: Reg, rhs: Reg } => calls "idiv", then Register(dst);
    /// `%`, sign of the divisor, event `__mod`; integer modulo by zero is an error
    Mod { dst: Dst, lhs: Reg, rhs: Reg } => calls "mod", then Register(dst);
    /// `^`, always float, event `__pow`
    Pow { dst: Dst, lhs: Reg, rhs: Reg } => calls "pow", then Register(dst);
    /// `&` on integers (and floats with an exact integer value), event `__band`
    BAnd { dst: Dst, lhs: Reg, rhs: Reg } => calls "band", then Register(dst);
    /// `|`, event `__bor`
    BOr { dst: Dst, lhs: Reg, rhs: Reg } => calls "bor", then Register(dst);
    /// `~`, event `__bxor`
    BXor { dst: Dst, lhs: Reg, rhs: Reg } => calls "bxor", then Register(dst);
    /// `<<`, logical, event `__shl`; counts of 64 and more give 0, negative counts shift right
    Shl { dst: Dst, lhs: Reg, rhs: Reg } => calls "shl", then Register(dst);
    /// `>>`, logical, event `__shr`
    Shr { dst: Dst, lhs: Reg, rhs: Reg } => calls "shr", then Register(dst);

    // ---- arithmetic with an integer immediate: R[dst] = R[lhs] op imm ----
    /// `R[lhs] + imm` (`imm + R[lhs]` if `flip`)
    AddI { dst: Dst, lhs: Reg, flip: bool, imm: i32 } => calls "add", then Register(dst);
    /// `R[lhs] - imm`
    SubI { dst: Dst, lhs: Reg, imm: i32 } => calls "sub", then Register(dst);
    /// `R[lhs] * imm` (`imm * R[lhs]` if `flip`)
    MulI { dst: Dst, lhs: Reg, flip: bool, imm: i32 } => calls "mul", then Register(dst);
    /// `R[lhs] / imm`
    DivI { dst: Dst, lhs: Reg, imm: i32 } => calls "div", then Register(dst);
    /// `R[lhs] // imm`; `imm` may be 0
    IDivI { dst: Dst, lhs: Reg, imm: i32 } => calls "idiv", then Register(dst);
    /// `R[lhs] % imm`; `imm` may be 0
    ModI { dst: Dst, lhs: Reg, imm: i32 } => calls "mod", then Register(dst);
    /// `R[lhs] ^ imm`
    PowI { dst: Dst, lhs: Reg, imm: i32 } => calls "pow", then Register(dst);
    /// `R[lhs] & imm`, `imm` sign-extended to 64 bits
    BAndI { dst: Dst, lhs: Reg, flip: bool, imm: i32 } => calls "band", then Register(dst);
    /// `R[lhs] | imm`, sign-extended
    BOrI { dst: Dst, lhs: Reg, flip: bool, imm: i32 } => calls "bor", then Register(dst);
    /// `R[lhs] ~ imm`, sign-extended
    BXorI { dst: Dst, lhs: Reg, flip: bool, imm: i32 } => calls "bxor", then Register(dst);
    /// `R[lhs] << imm`; `imm` may be negative or larger than 63
    ShlI { dst: Dst, lhs: Reg, imm: i32 } => calls "shl", then Register(dst);
    /// `R[lhs] >> imm`
    ShrI { dst: Dst, lhs: Reg, imm: i32 } => calls "shr", then Register(dst);

    // ---- arithmetic with a numeric constant: R[dst] = R[lhs] op K[k] ----
    /// `R[lhs] + K[k]` (`K[k] + R[lhs]` if `flip`)
    AddK { dst: Dst, lhs: Reg, flip: bool, k: Const } => calls "add", then Register(dst);
    /// `R[lhs] - K[k]`
    SubK { dst: Dst, lhs: Reg, k: Const } => calls "sub", then Register(dst);
    /// `R[lhs] * K[k]` (`K[k] * R[lhs]` if `flip`)
    MulK { dst: Dst, lhs: Reg, flip: bool, k: Const } => calls "mul", then Register(dst);
    /// `R[lhs] / K[k]`
    DivK { dst: Dst, lhs: Reg, k: Const } => calls "div", then Register(dst);
    /// `R[lhs] // K[k]`
    IDivK { dst: Dst, lhs: Reg, k: Const } => calls "idiv", then Register(dst);
    /// `R[lhs] % K[k]`
    ModK { dst: Dst, lhs: Reg, k: Const } => calls "mod", then Register(dst);
    /// `R[lhs] ^ K[k]`
    PowK { dst: Dst, lhs: Reg, k: Const } => calls "pow", then Register(dst);
    /// `R[lhs] & K[k]`
    BAndK { dst: Dst, lhs: Reg, flip: bool, k: Const } => calls "band", then Register(dst);
    /// `R[lhs] | K[k]`
    BOrK { dst: Dst, lhs: Reg, flip: bool, k: Const } => calls "bor", then Register(dst);
    /// `R[lhs] ~ K[k]`
    BXorK { dst: Dst, lhs: Reg, flip: bool, k: Const } => calls "bxor", then Register(dst);

    // ---- unary ----
    /// `R[dst] = -R[src]`, event `__unm`
    Unm { dst: Dst, src: Reg } => calls "unm", then Register(dst);
    /// `R[dst] = ~R[src]`, event `__bnot`
    BNot { dst: Dst, src: Reg } => calls "bnot", then Register(dst);
    /// `R[dst] = not R[src]`
    Not { dst: Dst, src: Reg };
    /// `R[dst] = #R[src]`, event `__len`
    Len { dst: Dst, src: Reg } => calls "len", then Register(dst);
    /// `R[dst] = R[first] .. (R[first + 1] .. (...))` over `count >= 2` registers, event
    /// `__concat`. Right associative; the source registers are temporaries, so the VM may use them
    /// as scratch space (for instance to keep the partial result while a metamethod runs).
    Concat { dst: Dst, first: Reg, count: u8 } => calls "concat", then Concat;

    // ---- jumps and tests ----
    /// `pc += offset`, `offset >= 0`
    Jmp { offset: Jump };
    /// `pc += offset`, `offset < 0`: a loop's back edge; poll for a safepoint
    JmpBack { offset: Jump };
    /// if `R[src]` is true (neither nil nor false) then `pc += offset`
    JmpIf { src: Reg, offset: Jump };
    /// if `R[src]` is nil or false then `pc += offset`
    JmpIfNot { src: Reg, offset: Jump };
    /// if `R[src]` is true then `{ R[dst] = R[src]; pc += offset }`: `a or b` as a value
    MoveJmpIf { dst: Reg, src: Reg, offset: Jump };
    /// if `R[src]` is nil or false then `{ R[dst] = R[src]; pc += offset }`: `a and b` as a value
    MoveJmpIfNot { dst: Reg, src: Reg, offset: Jump };

    // ---- comparisons that branch ----
    /// jump if `R[lhs] == R[rhs]`, event `__eq`
    Eq { lhs: Reg, rhs: Reg, offset: Jump } => calls "eq", then Branch { when: true, offset };
    /// jump unless `R[lhs] == R[rhs]`, event `__eq`
    NotEq { lhs: Reg, rhs: Reg, offset: Jump } => calls "eq", then Branch { when: false, offset };
    /// jump if `R[lhs] == K[k]`, any constant (nil, booleans, strings too); raw, no metamethods
    EqK { lhs: Reg, k: ShortConst, offset: Jump };
    /// jump unless `R[lhs] == K[k]`, raw
    NotEqK { lhs: Reg, k: ShortConst, offset: Jump };
    /// jump if `R[lhs] == imm` (integer or float of that value), raw
    EqI { lhs: Reg, imm: i16, offset: Jump };
    /// jump unless `R[lhs] == imm`, raw
    NotEqI { lhs: Reg, imm: i16, offset: Jump };
    /// jump if `R[lhs] < R[rhs]`, event `__lt`
    Lt { lhs: Reg, rhs: Reg, offset: Jump } => calls "lt", then Branch { when: true, offset };
    /// jump unless `R[lhs] < R[rhs]`, event `__lt`
    NotLt { lhs: Reg, rhs: Reg, offset: Jump } => calls "lt", then Branch { when: false, offset };
    /// jump if `R[lhs] <= R[rhs]`, event `__le`
    Le { lhs: Reg, rhs: Reg, offset: Jump } => calls "le", then Branch { when: true, offset };
    /// jump unless `R[lhs] <= R[rhs]`, event `__le`
    NotLe { lhs: Reg, rhs: Reg, offset: Jump } => calls "le", then Branch { when: false, offset };
    /// jump if `R[lhs] < imm`, event `__lt(R[lhs], imm)`
    LtI { lhs: Reg, imm: i16, offset: Jump } => calls "lt", then Branch { when: true, offset };
    /// jump unless `R[lhs] < imm`
    NotLtI { lhs: Reg, imm: i16, offset: Jump } => calls "lt", then Branch { when: false, offset };
    /// jump if `R[lhs] <= imm`, event `__le(R[lhs], imm)`
    LeI { lhs: Reg, imm: i16, offset: Jump } => calls "le", then Branch { when: true, offset };
    /// jump unless `R[lhs] <= imm`
    NotLeI { lhs: Reg, imm: i16, offset: Jump } => calls "le", then Branch { when: false, offset };
    /// jump if `R[lhs] > imm`, event `__lt(imm, R[lhs])`
    GtI { lhs: Reg, imm: i16, offset: Jump } => calls "lt", then Branch { when: true, offset };
    /// jump unless `R[lhs] > imm`
    NotGtI { lhs: Reg, imm: i16, offset: Jump } => calls "lt", then Branch { when: false, offset };
    /// jump if `R[lhs] >= imm`, event `__le(imm, R[lhs])`
    GeI { lhs: Reg, imm: i16, offset: Jump } => calls "le", then Branch { when: true, offset };
    /// jump unless `R[lhs] >= imm`
    NotGeI { lhs: Reg, imm: i16, offset: Jump } => calls "le", then Branch { when: false, offset };

    // ---- calls ----
    /// `R[func], R[func + 1], ... = R[func](R[func + 1], ..., R[func + args])`. `args == MULTI`:
    /// arguments run up to `top`. Exactly `results` values are stored from `R[func]` on, padded
    /// with nil; `results == MULTI`: all of them, and `top` is set after the last.
    Call { func: Reg, args: Count, results: Count };
    /// `return R[func](...)` in the caller's frame. `close`: close all upvalues of this frame
    /// first. A native function may be called like `Call` + `Return`.
    TailCall { func: Reg, args: Count, close: bool };
    /// return `R[first .. first + count]`; `count == MULTI`: up to `top`. `close`: close all
    /// upvalues of this frame first.
    Return { first: Reg, count: Count, close: bool };
    /// return nothing; the frame is not vararg and has no open upvalues
    Return0;
    /// return `R[src]`; the frame is not vararg and has no open upvalues
    Return1 { src: Reg };
    /// First instruction of a vararg function: keep the arguments after the first `params` for
    /// `VarArg`. (A VM that does that when it sets up the frame may treat it as a no-op.)
    VarArgPrep { params: u8 };
    /// `R[dst], R[dst + 1], ... = ...`: `count` extra arguments padded with nil; `MULTI`: all of
    /// them, and `top` is set after the last.
    VarArg { dst: Dst, count: Count };
    /// `R[dst] = closure(P[proto])`, capturing per [`UpvalDesc`](super::UpvalDesc) of that prototype
    Closure { dst: Dst, proto: Child };
    /// close every open upvalue of this frame that refers to `R[from]` or above
    Close { from: Reg };
    /// `R[src]` is to be closed, unless it is nil or false; an error if it has no `__close`
    MarkToClose { src: Reg };
    /// as `Close`, then close the variables from `R[from]` on that are to be closed, from the last to
    /// the first
    CloseAll { from: Reg } => calls "close", then Discard;
    /// as `Return` with `close`, and close all variables of this frame that are to be closed before
    /// the caller gets the results
    ReturnCloseAll { first: Reg, count: Count } => calls "close", then Discard;

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
    ForPrep { base: Reg, offset: Jump };
    /// Numeric `for`, back edge. Integer loop (`R[base + 2]` is an `Int`): if `R[base + 1] as u64 >
    /// 0`, decrement it, `R[base] += R[base + 2]` (wrapping), copy to `R[base + 3]`, `pc += offset`.
    /// Float loop: `R[base] += R[base + 2]`; if still within the limit (`<=` for a positive step,
    /// `>=` otherwise) copy to `R[base + 3]` and `pc += offset`. The body's first instruction is
    /// the one after `ForPrep`.
    ForLoop { base: Reg, offset: Jump };
    /// Generic `for`, entry: as `MarkToClose` of the closing value `R[base + 3]`, then `pc += offset`,
    /// which leads to the `TForCall`
    TForPrep { base: Reg, offset: Jump };
    /// Generic `for`: `R[base + 4 .. base + 4 + count] = R[base](R[base + 1], R[base + 2])`,
    /// `count >= 1`. The registers `base + 4 .. base + 7` are free for setting up the call.
    TForCall { base: Reg, count: u8 };
    /// Generic `for`, back edge: if `R[base + 4]` is not nil then `{ R[base + 2] = R[base + 4]; pc +=
    /// offset }`, else `CloseAll` from `base` on
    TForLoop { base: Reg, offset: Jump } => calls "close", then Discard;
}

const _: () = assert!(size_of::<Op>() == 8);

impl Op {
    /// The register that gets the (first) result, for instructions whose result can go anywhere.
    pub(crate) fn destination_mut(&mut self) -> Option<&mut Dst> {
        self.operand_mut()
    }

    /// As [`Op::destination_mut`], to look at it.
    pub(crate) fn destination(mut self) -> Option<Reg> {
        self.destination_mut().map(|dst| Reg::from(*dst))
    }

    /// The branch, to patch it.
    pub(crate) fn offset_mut(&mut self) -> Option<&mut Jump> {
        self.operand_mut()
    }

    /// The branch, if the instruction has one.
    #[must_use]
    pub fn offset(mut self) -> Option<Jump> {
        self.offset_mut().copied()
    }
}
