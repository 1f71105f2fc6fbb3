//! Code for operators: folding, choice of the operand form, comparisons.
//!
//! # Invariants
//! * Folding never changes behaviour: operations that fail, and float results that are NaN or
//!   zero (whose sign could get lost), are left for run time.

use super::discharge::Sense;
use super::exp::{Exp, JumpList, Place};
use super::function::FunctionState;
use crate::bytecode::{Const, Dst, Jump, Op, Reg, ShortConst};
use crate::number::{
    float_floor_div, float_modulo, float_to_integer, integer_floor_div, integer_modulo, shift_left,
    shift_right,
};
use crate::syntax::SyntaxError;
use crate::syntax::ast::{BinaryOp, UnaryOp};

impl FunctionState<'_> {
    // ---- unary ----

    pub(super) fn unary(
        &mut self,
        op: UnaryOp,
        exp: &mut Exp,
        line: u32,
    ) -> Result<(), SyntaxError> {
        self.discharge(exp);
        match op {
            UnaryOp::Not => return self.logical_not(exp),
            UnaryOp::Minus if exp.is_numeral() => {
                let negative = match exp.place {
                    Place::Int(value) => Some(Place::Int(value.wrapping_neg())),
                    Place::Float(value) if value != 0.0 => Some(Place::Float(-value)),
                    _ => None,
                };
                if let Some(negative) = negative {
                    exp.place = negative;
                    return Ok(());
                }
            }
            UnaryOp::BNot if exp.is_numeral() => {
                if let Some(value) = as_integer(exp.place) {
                    exp.place = Place::Int(!value);
                    return Ok(());
                }
            }
            _ => {}
        }
        let src = self.put_any(exp)?;
        self.free_exp(exp);
        let pc = self.emit(match op {
            UnaryOp::Minus => Op::Unm { dst: Dst::OPEN, src },
            UnaryOp::BNot => Op::BNot { dst: Dst::OPEN, src },
            UnaryOp::Len => Op::Len { dst: Dst::OPEN, src },
            UnaryOp::Not => Op::Not { dst: Dst::OPEN, src },
        });
        self.fix_line(line);
        *exp = Exp::new(Place::Pending(pc));
        Ok(())
    }

    fn logical_not(&mut self, exp: &mut Exp) -> Result<(), SyntaxError> {
        exp.place = match exp.place {
            Place::Nil | Place::False => Place::True,
            Place::True | Place::Int(_) | Place::Float(_) | Place::Str(_) => Place::False,
            Place::Jump(pc) => {
                self.negate(pc);
                exp.place
            }
            _ => {
                let src = self.load_any(exp)?;
                self.free_exp(exp);
                Place::Pending(self.emit(Op::Not { dst: Dst::OPEN, src }))
            }
        };
        std::mem::swap(&mut exp.when_true, &mut exp.when_false);
        self.drop_values(exp.when_true);
        self.drop_values(exp.when_false);
        Ok(())
    }

    // ---- binary ----

    /// Prepares the left operand, before code for the right one is emitted.
    pub(super) fn left_operand(&mut self, op: BinaryOp, exp: &mut Exp) -> Result<(), SyntaxError> {
        use BinaryOp::*;
        self.discharge(exp);
        match op {
            And => self.branch_on(exp, Sense::False)?,
            Or => self.branch_on(exp, Sense::True)?,
            // A constant may become an operand of the instruction.
            Eq | Ne if exp.is_constant() => {}
            Lt | Le | Gt | Ge if exp.immediate::<i16>().is_some() => {}
            Add | Sub | Mul | Div | IDiv | Mod | Pow | BAnd | BOr | BXor | Shl | Shr
                if exp.is_numeral() => {}
            _ => {
                self.put_any(exp)?;
            }
        }
        Ok(())
    }

    /// Completes `left op right`. `lines`: the line of the operator, at which arithmetic is
    /// reported, and the last line of the right operand, at which comparisons are reported.
    pub(super) fn binary(
        &mut self,
        op: BinaryOp,
        mut left: Exp,
        mut right: Exp,
        [line, end_line]: [u32; 2],
    ) -> Result<Exp, SyntaxError> {
        use BinaryOp::*;
        self.discharge(&mut right);
        match op {
            And => {
                self.join(&mut right.when_false, left.when_false);
                Ok(right)
            }
            Or => {
                self.join(&mut right.when_true, left.when_true);
                Ok(right)
            }
            Eq | Ne => self.equality(op, left, right, end_line),
            Lt | Le | Gt | Ge => self.order(op, left, right, end_line),
            _ => {
                if let Some(place) = fold(op, &left, &right) {
                    return Ok(Exp::new(place));
                }
                let pc = self.arithmetic(op, &mut left, &mut right)?;
                self.fix_line(line);
                Ok(Exp::new(Place::Pending(pc)))
            }
        }
    }

    fn arithmetic(
        &mut self,
        op: BinaryOp,
        left: &mut Exp,
        right: &mut Exp,
    ) -> Result<usize, SyntaxError> {
        if right.is_numeral() && self.has_constant_form(op, right) {
            return self.arithmetic_constant(op, left, right, false);
        }
        let commutes = matches!(
            op,
            BinaryOp::Add | BinaryOp::Mul | BinaryOp::BAnd | BinaryOp::BOr | BinaryOp::BXor
        );
        if commutes && left.is_numeral() && self.has_constant_form(op, left) {
            return self.arithmetic_constant(op, right, left, true);
        }
        // A left operand that is still a numeral is loaded last.
        let rhs = self.put_any(right)?;
        let lhs = self.put_any(left)?;
        self.free_exps(left, right);
        Ok(self.emit(register_form(op, lhs, rhs)))
    }

    fn has_constant_form(&self, op: BinaryOp, operand: &Exp) -> bool {
        use BinaryOp::*;
        match (op, operand.place) {
            (Shl | Shr, _) => operand.immediate::<i32>().is_some(),
            (BAnd | BOr | BXor, place) => matches!(place, Place::Int(_)),
            _ => true,
        }
    }

    fn arithmetic_constant(
        &mut self,
        op: BinaryOp,
        operand: &mut Exp,
        constant: &Exp,
        flip: bool,
    ) -> Result<usize, SyntaxError> {
        let lhs = self.put_any(operand)?;
        let op = if let Some(imm) = constant.immediate() {
            immediate_form(op, lhs, flip, imm)
        } else {
            let k = self.exp_constant(constant).expect("a numeral is a constant");
            constant_form(op, lhs, flip, k)
        };
        self.free_exp(operand);
        Ok(self.emit(op))
    }

    fn equality(
        &mut self,
        op: BinaryOp,
        mut left: Exp,
        mut right: Exp,
        line: u32,
    ) -> Result<Exp, SyntaxError> {
        // The left operand is a constant only if it was one in the source.
        if left.is_constant() {
            std::mem::swap(&mut left, &mut right);
        }
        let lhs = self.put_any(&mut left)?;
        let constant = self.exp_short_constant(&right);
        let branch = if let Some(imm) = right.immediate() {
            Op::EqI { lhs, imm, offset: Jump::OPEN }
        } else if let Some(k) = constant {
            Op::EqK { lhs, k, offset: Jump::OPEN }
        } else {
            let rhs = self.put_any(&mut right)?;
            Op::Eq { lhs, rhs, offset: Jump::OPEN }
        };
        self.free_exps(&left, &right);
        let exp = self.comparison(branch, line);
        if let (BinaryOp::Ne, Place::Jump(pc)) = (op, exp.place) {
            self.negate(pc);
        }
        Ok(exp)
    }

    fn exp_short_constant(&mut self, exp: &Exp) -> Option<ShortConst> {
        // An immediate needs no entry in the constant table.
        if exp.immediate::<i16>().is_some() {
            return None;
        }
        self.exp_constant(exp).and_then(|index| ShortConst::try_from(index).ok())
    }

    fn order(
        &mut self,
        op: BinaryOp,
        mut left: Exp,
        mut right: Exp,
        line: u32,
    ) -> Result<Exp, SyntaxError> {
        use BinaryOp::*;
        let offset = Jump::OPEN;
        let branch = if let Some(imm) = right.immediate() {
            let lhs = self.put_any(&mut left)?;
            match op {
                Lt => Op::LtI { lhs, imm, offset },
                Le => Op::LeI { lhs, imm, offset },
                Gt => Op::GtI { lhs, imm, offset },
                _ => Op::GeI { lhs, imm, offset },
            }
        } else if let Some(imm) = left.immediate() {
            let lhs = self.put_any(&mut right)?;
            match op {
                Lt => Op::GtI { lhs, imm, offset },
                Le => Op::GeI { lhs, imm, offset },
                Gt => Op::LtI { lhs, imm, offset },
                _ => Op::LeI { lhs, imm, offset },
            }
        } else {
            let rhs = self.put_any(&mut right)?;
            let lhs = self.put_any(&mut left)?;
            match op {
                Lt => Op::Lt { lhs, rhs, offset },
                Le => Op::Le { lhs, rhs, offset },
                // `a > b` means `b < a`.
                Gt => Op::Lt { lhs: rhs, rhs: lhs, offset },
                _ => Op::Le { lhs: rhs, rhs: lhs, offset },
            }
        };
        self.free_exps(&left, &right);
        Ok(self.comparison(branch, line))
    }

    fn comparison(&mut self, branch: Op, line: u32) -> Exp {
        let JumpList(Some(pc)) = self.emit_branch(branch) else {
            unreachable!("a new branch is a list of one")
        };
        self.fix_line(line);
        Exp::new(Place::Jump(pc))
    }
}

fn as_integer(place: Place) -> Option<i64> {
    match place {
        Place::Int(value) => Some(value),
        Place::Float(value) => float_to_integer(value),
        _ => None,
    }
}

fn as_float(place: Place) -> Option<f64> {
    match place {
        Place::Int(value) => Some(value as f64),
        Place::Float(value) => Some(value),
        _ => None,
    }
}

/// The value of an operation on two numerals, if it may be computed now.
fn fold(op: BinaryOp, left: &Exp, right: &Exp) -> Option<Place> {
    use BinaryOp::*;
    if !left.is_numeral() || !right.is_numeral() {
        return None;
    }
    if let BAnd | BOr | BXor | Shl | Shr = op {
        let (a, b) = (as_integer(left.place)?, as_integer(right.place)?);
        return Some(Place::Int(match op {
            BAnd => a & b,
            BOr => a | b,
            BXor => a ^ b,
            Shl => shift_left(a, b),
            _ => shift_right(a, b),
        }));
    }
    if let (Place::Int(a), Place::Int(b)) = (left.place, right.place) {
        match op {
            Add => return Some(Place::Int(a.wrapping_add(b))),
            Sub => return Some(Place::Int(a.wrapping_sub(b))),
            Mul => return Some(Place::Int(a.wrapping_mul(b))),
            IDiv => return integer_floor_div(a, b).map(Place::Int),
            Mod => return integer_modulo(a, b).map(Place::Int),
            _ => {}
        }
    }
    let (a, b) = (as_float(left.place)?, as_float(right.place)?);
    let value = match op {
        Add => a + b,
        Sub => a - b,
        Mul => a * b,
        Div if b != 0.0 => a / b,
        IDiv if b != 0.0 => float_floor_div(a, b),
        Mod if b != 0.0 => float_modulo(a, b),
        Pow => a.powf(b),
        _ => return None,
    };
    (!value.is_nan() && value != 0.0).then_some(Place::Float(value))
}

fn register_form(op: BinaryOp, lhs: Reg, rhs: Reg) -> Op {
    let dst = Dst::OPEN;
    match op {
        BinaryOp::Add => Op::Add { dst, lhs, rhs },
        BinaryOp::Sub => Op::Sub { dst, lhs, rhs },
        BinaryOp::Mul => Op::Mul { dst, lhs, rhs },
        BinaryOp::Div => Op::Div { dst, lhs, rhs },
        BinaryOp::IDiv => Op::IDiv { dst, lhs, rhs },
        BinaryOp::Mod => Op::Mod { dst, lhs, rhs },
        BinaryOp::Pow => Op::Pow { dst, lhs, rhs },
        BinaryOp::BAnd => Op::BAnd { dst, lhs, rhs },
        BinaryOp::BOr => Op::BOr { dst, lhs, rhs },
        BinaryOp::BXor => Op::BXor { dst, lhs, rhs },
        BinaryOp::Shl => Op::Shl { dst, lhs, rhs },
        BinaryOp::Shr => Op::Shr { dst, lhs, rhs },
        _ => unreachable!("{op:?} is not arithmetic"),
    }
}

fn immediate_form(op: BinaryOp, lhs: Reg, flip: bool, imm: i32) -> Op {
    let dst = Dst::OPEN;
    match op {
        BinaryOp::Add => Op::AddI { dst, lhs, flip, imm },
        BinaryOp::Sub => Op::SubI { dst, lhs, imm },
        BinaryOp::Mul => Op::MulI { dst, lhs, flip, imm },
        BinaryOp::Div => Op::DivI { dst, lhs, imm },
        BinaryOp::IDiv => Op::IDivI { dst, lhs, imm },
        BinaryOp::Mod => Op::ModI { dst, lhs, imm },
        BinaryOp::Pow => Op::PowI { dst, lhs, imm },
        BinaryOp::BAnd => Op::BAndI { dst, lhs, flip, imm },
        BinaryOp::BOr => Op::BOrI { dst, lhs, flip, imm },
        BinaryOp::BXor => Op::BXorI { dst, lhs, flip, imm },
        BinaryOp::Shl => Op::ShlI { dst, lhs, imm },
        BinaryOp::Shr => Op::ShrI { dst, lhs, imm },
        _ => unreachable!("{op:?} is not arithmetic"),
    }
}

fn constant_form(op: BinaryOp, lhs: Reg, flip: bool, k: Const) -> Op {
    let dst = Dst::OPEN;
    match op {
        BinaryOp::Add => Op::AddK { dst, lhs, flip, k },
        BinaryOp::Sub => Op::SubK { dst, lhs, k },
        BinaryOp::Mul => Op::MulK { dst, lhs, flip, k },
        BinaryOp::Div => Op::DivK { dst, lhs, k },
        BinaryOp::IDiv => Op::IDivK { dst, lhs, k },
        BinaryOp::Mod => Op::ModK { dst, lhs, k },
        BinaryOp::Pow => Op::PowK { dst, lhs, k },
        BinaryOp::BAnd => Op::BAndK { dst, lhs, flip, k },
        BinaryOp::BOr => Op::BOrK { dst, lhs, flip, k },
        BinaryOp::BXor => Op::BXorK { dst, lhs, flip, k },
        _ => unreachable!("{op:?} has no constant form"),
    }
}
