//! [`Effect`]: the registers that an instruction reads and writes, including those that no operand
//! names.
//!
//! What is said here holds for every instruction of the table: operands of type [`Reg`] are read, the
//! one of type [`Dst`](super::Dst) is written, and [`Effect::of`] knows the rest. The verifier of binary
//! chunks and the search for dead registers rely on it.

use super::{Count, Op, Operand, Reg};

/// A set of registers.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct RegSet([u64; 4]);

impl RegSet {
    /// No register.
    pub const EMPTY: RegSet = RegSet([0; 4]);

    /// Adds a register.
    pub fn insert(&mut self, register: u8) {
        self.0[usize::from(register >> 6)] |= 1 << (register & 63);
    }

    /// Adds the registers of a range. What lies beyond the last one is left out.
    pub fn insert_range(&mut self, range: core::ops::Range<usize>) {
        for register in range.start..range.end.min(256) {
            self.insert(register as u8);
        }
    }

    /// Whether the set has a register.
    #[must_use]
    pub fn contains(&self, register: u8) -> bool {
        self.0[usize::from(register >> 6)] & (1 << (register & 63)) != 0
    }

    /// The registers of both sets.
    #[must_use]
    pub fn union(self, other: RegSet) -> RegSet {
        RegSet(core::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    /// The registers that both sets have.
    #[must_use]
    pub fn intersection(self, other: RegSet) -> RegSet {
        RegSet(core::array::from_fn(|i| self.0[i] & other.0[i]))
    }

    /// The registers that the other set does not have.
    #[must_use]
    pub fn difference(self, other: RegSet) -> RegSet {
        RegSet(core::array::from_fn(|i| self.0[i] & !other.0[i]))
    }

    /// Whether the other set has all of them.
    #[must_use]
    pub fn is_subset(self, other: RegSet) -> bool {
        self.difference(other) == RegSet::EMPTY
    }

    /// The last register.
    #[must_use]
    pub fn last(self) -> Option<u8> {
        let word = self.0.iter().rposition(|word| *word != 0)?;
        Some((word * 64 + 63 - self.0[word].leading_zeros() as usize) as u8)
    }
}

/// What an instruction does to registers. Captured variables are not in it: those that a `Closure` reads
/// are known to its prototype.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// Registers that are read before any is written. Those of an open list are not among them.
    pub reads: RegSet,
    /// Registers that the instruction writes whether it jumps or not.
    pub writes: RegSet,
    /// The register that is written only if the instruction jumps.
    pub writes_if_taken: Option<Reg>,
    /// The first register that a call has used: from it on, only registers that are written have a
    /// known content.
    pub ruins_from: Option<usize>,
    /// Where an open list begins that the instruction reads, up to `top`.
    pub reads_list_at: Option<usize>,
    /// Where an open list begins that the instruction writes; it sets `top`.
    pub writes_list_at: Option<usize>,
    /// The instruction needs this many registers, counted from the first of the frame.
    pub extent: usize,
}

impl Effect {
    /// The effect of an instruction.
    #[must_use]
    pub fn of(op: Op) -> Effect {
        let mut effect = Effect {
            reads: RegSet::EMPTY,
            writes: RegSet::EMPTY,
            writes_if_taken: None,
            ruins_from: None,
            reads_list_at: None,
            writes_list_at: None,
            extent: 0,
        };
        match op {
            Op::LoadNil { first, count } => {
                effect.write(first.index(), count.into());
            }
            Op::SelfField { dst, object, .. } => {
                effect.read(object.index(), 1);
                effect.write(Reg::from(dst).index(), 2);
            }
            Op::SetList { table, count, .. } => {
                effect.read(table.index(), 1);
                effect.read_list(table.index() + 1, count);
            }
            Op::Concat { dst, first, count } => {
                effect.read(first.index(), count.into());
                effect.write(Reg::from(dst).index(), 1);
            }
            Op::MoveJmpIf { dst, src, .. } | Op::MoveJmpIfNot { dst, src, .. } => {
                effect.read(src.index(), 1);
                effect.writes_if_taken = Some(dst);
                effect.extent = effect.extent.max(dst.index() + 1);
            }
            Op::Call { func, args, results } => {
                effect.read(func.index(), 1);
                effect.read_list(func.index() + 1, args);
                effect.ruins_from = Some(func.index());
                effect.write_list(func.index(), results);
            }
            Op::TailCall { func, args, .. } => {
                effect.read(func.index(), 1);
                effect.read_list(func.index() + 1, args);
            }
            Op::Return { first, count, .. } | Op::ReturnCloseAll { first, count } => {
                effect.read_list(first.index(), count);
            }
            Op::VarArg { dst, count } => effect.write_list(Reg::from(dst).index(), count),
            Op::ForPrep { base, .. } => {
                effect.read(base.index(), 3);
                effect.write(base.index(), 4);
            }
            Op::ForLoop { base, .. } => {
                effect.read(base.index(), 3);
                effect.writes_if_taken = Some(base.saturating_add(3));
                effect.extent = effect.extent.max(base.index() + 4);
            }
            Op::TForPrep { base, .. } => {
                effect.read(base.index(), 4);
            }
            Op::TForCall { base, count } => {
                effect.read(base.index(), 3);
                effect.ruins_from = Some(base.index() + 4);
                effect.write(base.index() + 4, count.into());
                // The call is set up in three registers.
                effect.extent = effect.extent.max(base.index() + 7);
            }
            Op::TForLoop { base, .. } => {
                effect.read(base.index() + 3, 2);
                effect.writes_if_taken = Some(base.saturating_add(2));
            }
            // They close variables that are in scope or have just left it.
            Op::Close { from } | Op::CloseAll { from } => {
                effect.extent = from.index();
            }
            _ => {
                for operand in op.operands() {
                    match operand {
                        Operand::Reg(register) => effect.read(register.index(), 1),
                        Operand::Dst(dst) => effect.write(Reg::from(dst).index(), 1),
                        _ => {}
                    }
                }
            }
        }
        effect
    }

    fn read(&mut self, first: usize, count: usize) {
        self.reads.insert_range(first..first + count);
        self.extent = self.extent.max(first + count);
    }

    fn write(&mut self, first: usize, count: usize) {
        self.writes.insert_range(first..first + count);
        self.extent = self.extent.max(first + count);
    }

    fn read_list(&mut self, first: usize, count: Count) {
        match count.fixed() {
            Some(count) => self.read(first, count),
            None => self.reads_list_at = Some(first),
        }
    }

    fn write_list(&mut self, first: usize, count: Count) {
        match count.fixed() {
            Some(count) => self.write(first, count),
            None => self.writes_list_at = Some(first),
        }
        self.extent = self.extent.max(first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytecode::{Dst, MULTI};

    fn registers(set: RegSet) -> Vec<u8> {
        (0..=255).filter(|register| set.contains(*register)).collect()
    }

    #[test]
    fn sets() {
        let mut set = RegSet::EMPTY;
        assert_eq!(set.last(), None);
        set.insert_range(60..66);
        set.insert(255);
        assert_eq!(registers(set), [60, 61, 62, 63, 64, 65, 255]);
        assert_eq!(set.last(), Some(255));
        let mut other = RegSet::EMPTY;
        other.insert_range(64..300);
        assert_eq!(registers(set.difference(other)), [60, 61, 62, 63]);
        assert_eq!(registers(set.intersection(other)), [64, 65, 255]);
        assert!(set.intersection(other).is_subset(set));
        assert!(!set.is_subset(other));
    }

    #[test]
    fn operands_and_what_they_imply() {
        let add = Effect::of(Op::Add { dst: Dst(Reg(3)), lhs: Reg(1), rhs: Reg(2) });
        assert_eq!((registers(add.reads), registers(add.writes)), (vec![1, 2], vec![3]));
        let call = Effect::of(Op::Call { func: Reg(4), args: Count(2), results: MULTI });
        assert_eq!(registers(call.reads), [4, 5, 6]);
        assert_eq!((call.writes_list_at, call.ruins_from), (Some(4), Some(4)));
        let list = Effect::of(Op::SetList { table: Reg(4), count: MULTI, first: 1 });
        assert_eq!((registers(list.reads), list.reads_list_at), (vec![4], Some(5)));
        let own = Effect::of(Op::SelfField {
            dst: Dst(Reg(7)),
            object: Reg(7),
            key: crate::bytecode::Const(0),
        });
        assert_eq!((registers(own.reads), registers(own.writes)), (vec![7], vec![7, 8]));
        assert_eq!(own.extent, 9);
        // It must not panic, whatever the operands are.
        for register in [0, 250, 255] {
            let base = Reg(register);
            let offset = crate::bytecode::Jump(0);
            for op in [
                Op::ForLoop { base, offset },
                Op::TForLoop { base, offset },
                Op::TForCall { base, count: 255 },
                Op::LoadNil { first: base, count: 255 },
            ] {
                assert!(Effect::of(op).extent > usize::from(register));
            }
        }
    }
}
