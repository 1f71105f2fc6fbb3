//! The operands of instructions: one type for each thing that a number may stand for.
//!
//! All are plain numbers at run time.

use core::fmt;
use core::ops::{Add, AddAssign, Sub, SubAssign};

/// A register of the running frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reg(pub u8);

/// The register that takes an instruction's result. The compiler may choose it after it has emitted
/// the instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Dst(pub Reg);

/// A constant of the prototype.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Const(pub u32);

/// One of the first 65536 constants, where an instruction has no room for more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShortConst(pub u16);

/// An upvalue of the running function.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Up(pub u8);

/// A function defined inside the running one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Child(pub u32);

/// A branch: what is added to the index of the next instruction if it is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Jump(pub i32);

/// How many values: a fixed number, or [`MULTI`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u8);

/// "An open list, up to `top`" (as an input) or "keep all results and set `top`" (as an output).
/// Fixed counts are always smaller.
pub const MULTI: Count = Count(u8::MAX);

impl Reg {
    /// The register's place in its frame.
    #[inline(always)]
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// The register that is `count` places further, or the last one.
    #[must_use]
    pub fn saturating_add(self, count: u8) -> Reg {
        Reg(self.0.saturating_add(count))
    }
}

impl Add<u8> for Reg {
    type Output = Reg;

    #[inline(always)]
    fn add(self, count: u8) -> Reg {
        Reg(self.0 + count)
    }
}

impl Sub<u8> for Reg {
    type Output = Reg;

    fn sub(self, count: u8) -> Reg {
        Reg(self.0 - count)
    }
}

/// The number of registers from `start` on that are below this one.
impl Sub for Reg {
    type Output = u8;

    fn sub(self, start: Reg) -> u8 {
        self.0 - start.0
    }
}

impl AddAssign<u8> for Reg {
    fn add_assign(&mut self, count: u8) {
        self.0 += count;
    }
}

impl SubAssign<u8> for Reg {
    fn sub_assign(&mut self, count: u8) {
        self.0 -= count;
    }
}

impl Dst {
    /// Stands for a destination that is not chosen yet.
    pub const OPEN: Dst = Dst(Reg(0));
}

impl From<Dst> for Reg {
    #[inline(always)]
    fn from(dst: Dst) -> Reg {
        dst.0
    }
}

impl From<ShortConst> for Const {
    #[inline(always)]
    fn from(k: ShortConst) -> Const {
        Const(k.0.into())
    }
}

impl TryFrom<Const> for ShortConst {
    type Error = core::num::TryFromIntError;

    fn try_from(k: Const) -> Result<ShortConst, Self::Error> {
        u16::try_from(k.0).map(ShortConst)
    }
}

impl Jump {
    /// Stands for a branch whose target is not known yet.
    pub const OPEN: Jump = Jump(-1);

    /// The branch that takes the instruction at `from` to the one at `target`.
    pub(crate) fn between(from: usize, target: usize) -> Jump {
        Jump((target as i64 - (from as i64 + 1)) as i32)
    }

    /// Where the branch of the instruction at `from` goes.
    pub(crate) fn target(self, from: usize) -> usize {
        (from + 1).wrapping_add_signed(self.0 as isize)
    }

    /// Whether the branch leads backward.
    pub(crate) fn is_back(self) -> bool {
        self.0 < 0
    }
}

impl Count {
    /// The number, unless the list is open.
    #[inline(always)]
    #[must_use]
    pub fn fixed(self) -> Option<usize> {
        (self != MULTI).then_some(self.0 as usize)
    }
}

/// An operand of some instruction, for code that treats all instructions alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the operands' types")]
pub enum Operand {
    Reg(Reg),
    Dst(Dst),
    Const(Const),
    Up(Up),
    Child(Child),
    Jump(Jump),
    Count(Count),
    Number(i64),
    Flag(bool),
}

impl From<ShortConst> for Operand {
    fn from(k: ShortConst) -> Operand {
        Operand::Const(k.into())
    }
}

macro_rules! operands {
    ($($variant:ident: $($type:ty),*;)*) => {
        $($(impl From<$type> for Operand {
            fn from(operand: $type) -> Operand {
                Operand::$variant(operand.into())
            }
        })*)*
    };
}

operands! {
    Reg: Reg;
    Dst: Dst;
    Const: Const;
    Up: Up;
    Child: Child;
    Jump: Jump;
    Count: Count;
    Number: u8, u16, u32, i16, i32;
    Flag: bool;
}

macro_rules! prints_as {
    ($($type:ty: $letter:literal;)*) => {
        $(impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{:?}"), self.0)
            }
        })*
    };
}

prints_as! {
    Reg: "R";
    Dst: "";
    Const: "K";
    ShortConst: "K";
    Up: "U";
    Child: "P";
    Jump: "";
}

impl fmt::Debug for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fixed() {
            Some(count) => write!(f, "{count}"),
            None => f.write_str("MULTI"),
        }
    }
}
