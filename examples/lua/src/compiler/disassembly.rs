//! A listing of compiled functions, for tests and for debugging the compiler.

use std::fmt;

use super::chunk_id;
use crate::bytecode::{Constant, Op, Operand, ProtoData};

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
            write!(f, " ; to {}", offset.target(pc))?;
        }
        for operand in op.operands() {
            if let Operand::Const(k) = operand {
                write!(f, " ; {}", self.constants[k.0 as usize])?;
            }
        }
        Ok(())
    }
}
