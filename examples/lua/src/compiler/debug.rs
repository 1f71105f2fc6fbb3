//! Names for values in error messages: which variable, field or constant a register came from.
//!
//! Called by the VM when it reports an error, never on a hot path. The method is C Lua's: find the
//! instruction that last set a register before the failing one, and read its operands.

use std::fmt;

use crate::bytecode::{Const, Constant, Dst, LocalVar, Op, ProtoData, Reg, Up};

/// The kind of thing that a name in a message refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// a local variable
    Local,
    /// a global variable
    Global,
    /// a field of a table
    Field,
    /// a method that is being called
    Method,
    /// an upvalue
    Upvalue,
    /// a string constant
    Constant,
    /// the metamethod of an operation
    Metamethod,
    /// the iterator of a generic `for`
    ForIterator,
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameKind::Local => "local",
            NameKind::Global => "global",
            NameKind::Field => "field",
            NameKind::Method => "method",
            NameKind::Upvalue => "upvalue",
            NameKind::Constant => "constant",
            NameKind::Metamethod => "metamethod",
            NameKind::ForIterator => "for iterator",
        })
    }
}

/// A name with its kind.
type Named = (NameKind, String);

/// Names the value in `register` as the instruction at `pc` finds it.
///
/// The result goes into messages as `(kind 'name')`; `None` if the value has no name.
pub fn describe_register(proto: &ProtoData, pc: usize, register: Reg) -> Option<Named> {
    if let Some(name) = local_name(proto, pc, register) {
        return Some((NameKind::Local, text(name)));
    }
    let setter = find_setter(proto, pc, register)?;
    match proto.code[setter] {
        // A move from above would be a temporary, whose name says little.
        Op::Move { dst: Dst(dst), src } if src < dst => describe_register(proto, setter, src),
        Op::GetUpval { upval, .. } => Some((NameKind::Upvalue, text(upvalue_name(proto, upval)))),
        Op::GetTabUp { upval, key, .. } => {
            let is_environment = upvalue_name(proto, upval) == super::ENVIRONMENT;
            Some((field_kind(is_environment), string_constant(proto, key)?))
        }
        Op::GetField { table, key, .. } => {
            let is_environment = local_name(proto, setter, table) == Some(super::ENVIRONMENT);
            Some((field_kind(is_environment), string_constant(proto, key)?))
        }
        Op::GetIndex { key, .. } => {
            let name = match describe_register(proto, setter, key) {
                Some((NameKind::Constant, name)) => name,
                _ => "?".to_owned(),
            };
            Some((NameKind::Field, name))
        }
        // Real Lua keeps in its instruction only indices of one byte, and cannot name others.
        Op::GetInt { index: 0..=255, .. } => Some((NameKind::Field, "integer index".to_owned())),
        Op::GetInt { .. } => Some((NameKind::Field, "?".to_owned())),
        Op::LoadK { k, .. } => Some((NameKind::Constant, string_constant(proto, k)?)),
        Op::SelfField { dst: Dst(dst), key, .. } if dst == register => {
            Some((NameKind::Method, string_constant(proto, key)?))
        }
        _ => None,
    }
}

/// Names the function that the instruction at `pc` calls, directly or as a metamethod.
pub fn describe_call(proto: &ProtoData, pc: usize) -> Option<Named> {
    let event = match proto.code[pc] {
        Op::Call { func, .. } | Op::TailCall { func, .. } => {
            return describe_register(proto, pc, func);
        }
        Op::TForCall { .. } => return Some((NameKind::ForIterator, "for iterator".to_owned())),
        op => op.event()?,
    };
    Some((NameKind::Metamethod, event.to_owned()))
}

/// Local variable number `number`, counted from 0, of those in scope at `pc`.
pub fn local_variable(proto: &ProtoData, pc: usize, number: usize) -> Option<(&[u8], Reg)> {
    let local = proto.local_vars.iter().filter(|local| is_alive(local, pc)).nth(number)?;
    Some((&local.name, local.register))
}

/// The first register above those of the local variables that are in scope at `pc` or have just
/// left it.
pub fn first_temporary(proto: &ProtoData, pc: usize) -> Reg {
    let is_in_scope =
        |local: &&LocalVar| (local.start_pc as usize..=local.end_pc as usize).contains(&pc);
    let in_scope = proto.local_vars.iter().filter(is_in_scope);
    in_scope.map(|local| local.register + 1).max().unwrap_or(Reg(0))
}

fn is_alive(local: &LocalVar, pc: usize) -> bool {
    (local.start_pc as usize..local.end_pc as usize).contains(&pc)
}

/// The name of an upvalue for messages.
pub fn upvalue_name(proto: &ProtoData, upvalue: Up) -> &[u8] {
    match &*proto.upvalues[usize::from(upvalue.0)].name {
        // A binary chunk without debug information.
        b"" => b"?",
        name => name,
    }
}

fn field_kind(is_environment: bool) -> NameKind {
    if is_environment { NameKind::Global } else { NameKind::Field }
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn string_constant(proto: &ProtoData, k: Const) -> Option<String> {
    match &proto.constants[k.0 as usize] {
        Constant::Str(bytes) => Some(text(bytes)),
        _ => None,
    }
}

fn local_name(proto: &ProtoData, pc: usize, register: Reg) -> Option<&[u8]> {
    let local =
        proto.local_vars.iter().rfind(|local| local.register == register && is_alive(local, pc))?;
    Some(&local.name)
}

/// The instruction that certainly set `register` last before `pc`, in code without taken branches
/// between it and `pc`.
fn find_setter(proto: &ProtoData, pc: usize, register: Reg) -> Option<usize> {
    let mut setter = None;
    // Instructions before this one may be skipped by a branch that does not skip `pc`.
    let mut branch_target = 0;
    for (index, op) in proto.code[..pc].iter().enumerate() {
        if let Some(offset) = op.offset().filter(|offset| !offset.is_back()) {
            let target = offset.target(index);
            if target <= pc {
                branch_target = branch_target.max(target);
            }
        }
        if sets(*op, register) {
            setter = (index >= branch_target).then_some(index);
        }
    }
    setter
}

fn sets(op: Op, register: Reg) -> bool {
    match op {
        Op::LoadNil { first, count } => (first..first + count).contains(&register),
        Op::TForCall { base, .. } => register >= base + 2,
        Op::Call { func, .. } | Op::TailCall { func, .. } => register >= func,
        Op::VarArg { dst: Dst(dst), .. } => register >= dst,
        Op::SelfField { dst: Dst(dst), .. } => register == dst || register == dst + 1,
        Op::MoveJmpIf { dst, .. } | Op::MoveJmpIfNot { dst, .. } => register == dst,
        Op::ForPrep { base, .. } | Op::ForLoop { base, .. } => {
            (base..=base + 3).contains(&register)
        }
        _ => op.destination() == Some(register),
    }
}
