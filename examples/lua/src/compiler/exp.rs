//! Expression descriptors: what is known about an expression whose value may not exist yet.
//!
//! Delaying the instruction that produces a value lets its consumer choose the register, or use a
//! constant, a local variable or a jump directly. The technique is the one of PUC-Rio Lua's code
//! generator.
//!
//! # Invariants
//! * An [`Exp`] is consumed at most once: after it is discharged, only the result counts.
//! * Temporaries are freed in the reverse order of their allocation.

use std::borrow::Cow;

use crate::bytecode::{Const, Reg, Up};

/// Where the value of an expression is, or how to get it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    /// No expression (an empty list).
    Void,
    Nil,
    True,
    False,
    Int(i64),
    Float(f64),
    /// The string constant with this index.
    Str(Const),
    /// In this register, which may be a temporary.
    Register(Reg),
    /// A local variable.
    Local(Reg),
    /// An upvalue.
    Upvalue(Up),
    /// `R[table][R[key]]`
    Indexed {
        table: Reg,
        key: Reg,
    },
    /// `R[table][index]`
    IndexedInt {
        table: Reg,
        index: i32,
    },
    /// `R[table][K[key]]`
    IndexedField {
        table: Reg,
        key: Const,
    },
    /// `U[upval][K[key]]`
    IndexedUpvalue {
        upval: Up,
        key: Const,
    },
    /// A comparison: the branch at this index is taken if it holds.
    Jump(usize),
    /// The instruction at this index computes the value; its destination is still open.
    Pending(usize),
    /// The call at this index, with one result so far.
    Call(usize),
    /// The `VarArg` at this index.
    Vararg(usize),
}

/// A list of branches that wait for their target, linked through their offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JumpList(pub(super) Option<usize>);

impl JumpList {
    pub(super) const EMPTY: JumpList = JumpList(None);
}

/// An expression: a place, and branches out of its `and` / `or` operands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exp {
    pub(super) place: Place,
    /// Branches that leave when the value is decided and true.
    pub(super) when_true: JumpList,
    /// Branches that leave when the value is decided and false.
    pub(super) when_false: JumpList,
}

impl Exp {
    pub(super) fn new(place: Place) -> Self {
        Exp { place, when_true: JumpList::EMPTY, when_false: JumpList::EMPTY }
    }

    pub(super) fn has_jumps(&self) -> bool {
        self.when_true != self.when_false
    }

    pub(super) fn is_numeral(&self) -> bool {
        !self.has_jumps() && matches!(self.place, Place::Int(_) | Place::Float(_))
    }

    /// Whether the value is known now.
    pub(super) fn is_constant(&self) -> bool {
        use Place::*;
        !self.has_jumps() && matches!(self.place, Nil | True | False | Int(_) | Float(_) | Str(_))
    }

    pub(super) fn is_multi(&self) -> bool {
        matches!(self.place, Place::Call(_) | Place::Vararg(_))
    }

    /// The value as an instruction's immediate operand.
    pub(super) fn immediate<T: TryFrom<i64>>(&self) -> Option<T> {
        match self.place {
            Place::Int(value) if !self.has_jumps() => T::try_from(value).ok(),
            _ => None,
        }
    }
}

/// The value of a compile-time constant.
#[derive(Clone, Debug)]
pub(super) enum ConstantValue<'s> {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Cow<'s, [u8]>),
}
