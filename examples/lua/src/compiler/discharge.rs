//! Turning expression descriptors into values in registers, stores and conditions.
//!
//! # Invariants
//! * After `put_*` methods return, the expression has no jumps left.

use super::exp::{Exp, JumpList, Place};
use super::function::{FunctionState, NO_REGISTER};
use crate::bytecode::{Const, Count, Dst, Jump, MULTI, Op, Reg, ShortConst};
use crate::syntax::SyntaxError;

/// Which way a condition branches away; the other way falls through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sense {
    True,
    False,
}

impl FunctionState<'_> {
    /// Turns the expression into one value that no longer depends on a variable; it may still be a
    /// constant or wait for its register.
    pub(super) fn discharge(&mut self, exp: &mut Exp) {
        exp.place = match exp.place {
            Place::Local(register) => Place::Register(register),
            Place::Upvalue(upval) => {
                Place::Pending(self.emit(Op::GetUpval { dst: Dst::OPEN, upval }))
            }
            Place::Indexed { table, key } => {
                self.free_pair(table, key);
                Place::Pending(self.emit(Op::GetIndex { dst: Dst::OPEN, table, key }))
            }
            Place::IndexedInt { table, index } => {
                self.free(table);
                Place::Pending(self.emit(Op::GetInt { dst: Dst::OPEN, table, index }))
            }
            Place::IndexedField { table, key } => {
                self.free(table);
                Place::Pending(self.emit(Op::GetField { dst: Dst::OPEN, table, key }))
            }
            Place::IndexedUpvalue { upval, key } => {
                Place::Pending(self.emit(Op::GetTabUp { dst: Dst::OPEN, upval, key }))
            }
            Place::Call(_) | Place::Vararg(_) => {
                self.set_one_result(exp);
                return;
            }
            other => other,
        };
    }

    /// Limits an open call or vararg to one value.
    pub(super) fn set_one_result(&mut self, exp: &mut Exp) {
        match exp.place {
            Place::Call(pc) => {
                let Op::Call { func, .. } = self.code[pc] else { unreachable!("E1: a call") };
                exp.place = Place::Register(func);
            }
            Place::Vararg(pc) => {
                self.code[pc] = Op::VarArg { dst: Dst::OPEN, count: Count(1) };
                exp.place = Place::Pending(pc);
            }
            _ => {}
        }
    }

    /// Asks an open call or vararg for `count` values, in the next registers.
    pub(super) fn set_results(&mut self, exp: &Exp, count: Count) -> Result<(), SyntaxError> {
        match exp.place {
            Place::Call(pc) => {
                if let Op::Call { results, .. } = &mut self.code[pc] {
                    *results = count;
                }
            }
            Place::Vararg(pc) => {
                self.code[pc] = Op::VarArg { dst: Dst(self.free_register), count };
                self.reserve(1)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Asks an open call or vararg for all its values.
    pub(super) fn set_open_results(&mut self, exp: &Exp) -> Result<(), SyntaxError> {
        self.set_results(exp, MULTI)
    }

    fn load(&mut self, exp: &mut Exp, register: Reg) {
        self.discharge(exp);
        let op = match exp.place {
            Place::Nil => {
                self.load_nil(register, 1);
                None
            }
            Place::False => Some(Op::LoadFalse { dst: Dst(register) }),
            Place::True => Some(Op::LoadTrue { dst: Dst(register) }),
            Place::Int(value) => Some(match i32::try_from(value) {
                Ok(value) => Op::LoadI { dst: Dst(register), value },
                Err(_) => Op::LoadK { dst: Dst(register), k: self.integer_constant(value) },
            }),
            Place::Float(value) => {
                Some(Op::LoadK { dst: Dst(register), k: self.float_constant(value) })
            }
            Place::Str(k) => Some(Op::LoadK { dst: Dst(register), k }),
            Place::Pending(pc) => {
                *self.code[pc].destination_mut().expect("pending instructions have one") =
                    Dst(register);
                None
            }
            Place::Register(src) => {
                (src != register).then_some(Op::Move { dst: Dst(register), src })
            }
            // A comparison has no value yet; the caller makes one.
            _ => return,
        };
        if let Some(op) = op {
            self.emit(op);
        }
        exp.place = Place::Register(register);
    }

    /// Puts the value into `register`.
    pub(super) fn put_in(&mut self, exp: &mut Exp, register: Reg) {
        self.load(exp, register);
        let is_test = if let Place::Jump(pc) = exp.place {
            self.join(&mut exp.when_true, JumpList(Some(pc)));
            true
        } else {
            false
        };
        if exp.has_jumps() {
            let (mut load_false, mut load_true) = (0, 0);
            if self.needs_value(exp.when_true) || self.needs_value(exp.when_false) {
                let skip = if is_test { JumpList::EMPTY } else { self.jump() };
                load_false = self.here();
                self.emit(Op::LoadFalse { dst: Dst(register) });
                let skip_true = self.jump();
                load_true = self.here();
                self.emit(Op::LoadTrue { dst: Dst(register) });
                self.patch_here(skip);
                self.patch_here(skip_true);
            }
            let end = self.here();
            self.patch_values(exp.when_false, end, register, load_false);
            self.patch_values(exp.when_true, end, register, load_true);
        }
        *exp = Exp::new(Place::Register(register));
    }

    pub(super) fn put_next(&mut self, exp: &mut Exp) -> Result<Reg, SyntaxError> {
        self.discharge(exp);
        self.free_exp(exp);
        self.reserve(1)?;
        let register = self.free_register - 1;
        self.put_in(exp, register);
        Ok(register)
    }

    pub(super) fn put_any(&mut self, exp: &mut Exp) -> Result<Reg, SyntaxError> {
        self.discharge(exp);
        if let Place::Register(register) = exp.place {
            if !exp.has_jumps() {
                return Ok(register);
            }
            // A temporary can take the values of the other branches; a variable must not.
            if register >= self.local_registers() {
                self.put_in(exp, register);
                return Ok(register);
            }
        }
        self.put_next(exp)
    }

    /// Makes the expression a value that later instructions cannot change: a constant, or in a
    /// register. A comparison is a branch until then: other instructions cannot come between it and its
    /// value.
    pub(super) fn put_value(&mut self, exp: &mut Exp) -> Result<(), SyntaxError> {
        if exp.has_jumps() || matches!(exp.place, Place::Jump(_)) {
            self.put_any(exp)?;
        } else {
            self.discharge(exp);
        }
        Ok(())
    }

    /// Like [`Self::put_any`], but upvalues may stay where they are.
    pub(super) fn put_any_or_upvalue(&mut self, exp: &mut Exp) -> Result<(), SyntaxError> {
        if !matches!(exp.place, Place::Upvalue(_)) || exp.has_jumps() {
            self.put_any(exp)?;
        }
        Ok(())
    }

    /// `table[key]`; `table` is in a register or an upvalue, `key` is a value.
    pub(super) fn index(&mut self, table: &mut Exp, mut key: Exp) -> Result<(), SyntaxError> {
        let name = match key.place {
            Place::Str(index) if !key.has_jumps() => Some(index),
            _ => None,
        };
        if let (Place::Upvalue(upval), Some(key)) = (table.place, name) {
            table.place = Place::IndexedUpvalue { upval, key };
            return Ok(());
        }
        // An upvalue that is indexed by anything but a name has to be in a register.
        let table_register = match table.place {
            Place::Local(register) | Place::Register(register) => register,
            _ => self.put_any(table)?,
        };
        table.place = if let Some(key) = name {
            Place::IndexedField { table: table_register, key }
        } else if let Some(index) = key.immediate() {
            Place::IndexedInt { table: table_register, index }
        } else {
            let key = self.put_any(&mut key)?;
            Place::Indexed { table: table_register, key }
        };
        Ok(())
    }

    /// `target = value`
    pub(super) fn store(&mut self, target: &Exp, mut value: Exp) -> Result<(), SyntaxError> {
        match target.place {
            Place::Local(register) => {
                self.free_exp(&value);
                self.put_in(&mut value, register);
                return Ok(());
            }
            Place::Upvalue(upval) => {
                let src = self.put_any(&mut value)?;
                self.emit(Op::SetUpval { upval, src });
            }
            Place::Indexed { table, key } => {
                if let Some(value) = self.exp_constant(&value) {
                    self.emit(Op::SetIndexK { table, key, value });
                } else {
                    let value = self.put_any(&mut value)?;
                    self.emit(Op::SetIndex { table, key, value });
                }
            }
            Place::IndexedInt { table, index } => {
                let value = self.put_any(&mut value)?;
                self.emit(Op::SetInt { table, value, index });
            }
            Place::IndexedField { table, key } => {
                if let (Ok(key), Some(value)) =
                    (ShortConst::try_from(key), self.exp_constant(&value))
                {
                    self.emit(Op::SetFieldK { table, key, value });
                } else {
                    let value = self.put_any(&mut value)?;
                    self.emit(Op::SetField { table, value, key });
                }
            }
            Place::IndexedUpvalue { upval, key } => {
                let value = self.put_any(&mut value)?;
                self.emit(Op::SetTabUp { upval, value, key });
            }
            other => unreachable!("the parser accepts no assignment to {other:?}"),
        }
        self.free_exp(&value);
        Ok(())
    }

    /// `object:name`, ready for the arguments: the function and the object in two new registers.
    pub(super) fn method(&mut self, object: &mut Exp, key: Const) -> Result<(), SyntaxError> {
        let register = self.put_any(object)?;
        self.free_exp(object);
        let dst = self.free_register;
        self.reserve(2)?;
        self.emit(Op::SelfField { dst: Dst(dst), object: register, key });
        object.place = Place::Register(dst);
        Ok(())
    }

    // ---- conditions ----

    /// Branches away when the value has the given sense, and falls through otherwise. Afterwards the
    /// branches are in `when_true` or `when_false`, and the other list is empty.
    pub(super) fn branch_on(&mut self, exp: &mut Exp, sense: Sense) -> Result<(), SyntaxError> {
        self.discharge(exp);
        let is_known = match sense {
            Sense::False => {
                matches!(exp.place, Place::Str(_) | Place::Int(_) | Place::Float(_) | Place::True)
            }
            Sense::True => matches!(exp.place, Place::Nil | Place::False),
        };
        let mut branch = match exp.place {
            Place::Jump(pc) => {
                if sense == Sense::False {
                    self.negate(pc);
                }
                JumpList(Some(pc))
            }
            _ if is_known => JumpList::EMPTY,
            _ => self.branch_on_value(exp, sense)?,
        };
        let falls_through = match sense {
            Sense::False => {
                self.join(&mut branch, exp.when_false);
                exp.when_false = branch;
                std::mem::replace(&mut exp.when_true, JumpList::EMPTY)
            }
            Sense::True => {
                self.join(&mut branch, exp.when_true);
                exp.when_true = branch;
                std::mem::replace(&mut exp.when_false, JumpList::EMPTY)
            }
        };
        self.patch_here(falls_through);
        Ok(())
    }

    fn branch_on_value(&mut self, exp: &mut Exp, sense: Sense) -> Result<JumpList, SyntaxError> {
        if let Place::Pending(pc) = exp.place
            && let Op::Not { src, .. } = self.code[pc]
        {
            // Branch on the operand instead. `Not` was the last instruction.
            self.code.pop();
            self.lines.pop();
            return Ok(self.emit_branch(match sense {
                Sense::True => Op::JmpIfNot { src, offset: Jump::OPEN },
                Sense::False => Op::JmpIf { src, offset: Jump::OPEN },
            }));
        }
        let src = self.load_any(exp)?;
        self.free_exp(exp);
        Ok(self.emit_branch(match sense {
            Sense::True => Op::MoveJmpIf { dst: NO_REGISTER, src, offset: Jump::OPEN },
            Sense::False => Op::MoveJmpIfNot { dst: NO_REGISTER, src, offset: Jump::OPEN },
        }))
    }

    /// Puts the value into a register, leaving the expression's jumps alone.
    pub(super) fn load_any(&mut self, exp: &mut Exp) -> Result<Reg, SyntaxError> {
        if let Place::Register(register) = exp.place {
            return Ok(register);
        }
        self.reserve(1)?;
        let register = self.free_register - 1;
        self.load(exp, register);
        Ok(register)
    }

    /// Inverts a comparison.
    pub(super) fn negate(&mut self, pc: usize) {
        use Op::*;
        let op = &mut self.code[pc];
        *op = match *op {
            Eq { lhs, rhs, offset } => NotEq { lhs, rhs, offset },
            NotEq { lhs, rhs, offset } => Eq { lhs, rhs, offset },
            EqK { lhs, k, offset } => NotEqK { lhs, k, offset },
            NotEqK { lhs, k, offset } => EqK { lhs, k, offset },
            EqI { lhs, imm, offset } => NotEqI { lhs, imm, offset },
            NotEqI { lhs, imm, offset } => EqI { lhs, imm, offset },
            Lt { lhs, rhs, offset } => NotLt { lhs, rhs, offset },
            NotLt { lhs, rhs, offset } => Lt { lhs, rhs, offset },
            Le { lhs, rhs, offset } => NotLe { lhs, rhs, offset },
            NotLe { lhs, rhs, offset } => Le { lhs, rhs, offset },
            LtI { lhs, imm, offset } => NotLtI { lhs, imm, offset },
            NotLtI { lhs, imm, offset } => LtI { lhs, imm, offset },
            LeI { lhs, imm, offset } => NotLeI { lhs, imm, offset },
            NotLeI { lhs, imm, offset } => LeI { lhs, imm, offset },
            GtI { lhs, imm, offset } => NotGtI { lhs, imm, offset },
            NotGtI { lhs, imm, offset } => GtI { lhs, imm, offset },
            GeI { lhs, imm, offset } => NotGeI { lhs, imm, offset },
            NotGeI { lhs, imm, offset } => GeI { lhs, imm, offset },
            other => unreachable!("{other:?} is not a comparison"),
        };
    }
}
