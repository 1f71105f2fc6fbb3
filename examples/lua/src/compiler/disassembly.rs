//! A listing of compiled functions, for tests and for the curious.

use std::fmt;

use super::chunk_id;
use crate::bytecode::{Constant, Op, ProtoData};

impl fmt::Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Constant::Nil => f.write_str("nil"),
            Constant::Bool(value) => write!(f, "{value}"),
            Constant::Int(value) => write!(f, "{value}"),
            Constant::Float(value) => f.write_str(&crate::number::format_float(*value)),
            Constant::Str(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
        }
    }
}

impl fmt::Display for ProtoData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "function <{}:{},{}> params={}{} registers={} upvalues={}",
            chunk_id(&self.source),
            self.line_defined,
            self.last_line,
            self.num_params,
            if self.is_vararg { "+" } else { "" },
            self.max_stack,
            self.upvalues.len(),
        )?;
        for (pc, op) in self.code.iter().enumerate() {
            write!(f, "{pc:5} [{}] {op:?}", self.line_info[pc])?;
            self.write_comment(f, pc, *op)?;
            writeln!(f)?;
        }
        self.protos.iter().try_for_each(|proto| write!(f, "{proto}"))
    }
}

impl ProtoData {
    /// Says what an instruction's indices and offsets stand for.
    fn write_comment(&self, f: &mut fmt::Formatter<'_>, pc: usize, op: Op) -> fmt::Result {
        if let Some(offset) = op.offset() {
            write!(f, " ; to {}", pc as i64 + 1 + i64::from(offset))?;
        }
        let (first, second) = constants_of(op);
        for index in [first, second].into_iter().flatten() {
            write!(f, " ; {}", self.constants[index as usize])?;
        }
        Ok(())
    }
}

/// The constants that an instruction refers to.
fn constants_of(op: Op) -> (Option<u32>, Option<u32>) {
    match op {
        Op::LoadK { k, .. }
        | Op::AddK { k, .. }
        | Op::SubK { k, .. }
        | Op::MulK { k, .. }
        | Op::DivK { k, .. }
        | Op::IDivK { k, .. }
        | Op::ModK { k, .. }
        | Op::PowK { k, .. }
        | Op::BAndK { k, .. }
        | Op::BOrK { k, .. }
        | Op::BXorK { k, .. } => (Some(k), None),
        Op::EqK { k, .. } | Op::NotEqK { k, .. } => (Some(k.into()), None),
        Op::GetTabUp { key, .. }
        | Op::SetTabUp { key, .. }
        | Op::GetField { key, .. }
        | Op::SetField { key, .. }
        | Op::SelfField { key, .. } => (Some(key), None),
        Op::SetFieldK { key, value, .. } => (Some(key.into()), Some(value)),
        Op::SetIndexK { value, .. } => (Some(value), None),
        _ => (None, None),
    }
}
