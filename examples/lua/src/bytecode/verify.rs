//! The verifier: whether a function that did not come from the compiler keeps the rules of
//! [`crate::bytecode`] that the virtual machine relies on.
//!
//! * VF1: operands name registers, constants, upvalues, functions and instructions that exist, constants
//!   are of the types that their instructions want, only instructions that poll for a safepoint
//!   branch backward, and the last instruction is a return.
//! * VF2: an open list is read by the instruction directly after the one that made it, and by no
//!   other.
//! * VF3: a register is written before it is read, on every path to the instruction, so that no
//!   function sees values that other functions have left in the stack.
//! * VF4: a function whose variables may be captured closes its upvalues when it returns (BC8), and
//!   variables that are to be closed are marked in the order of their registers and closed before it
//!   returns (BC9).
//!
//! VF3 and VF4 follow from an analysis of the control flow like that of the Java virtual machine's
//! verifier: the facts known before an instruction are those that hold on all paths to it.

use super::chunk::ChunkError;
use super::{Constant, Effect, MAX_REGISTERS, Op, Operand, ProtoData, Reg, RegSet, UpvalSource};

/// Values that one instruction may add to a table by itself.
const VALUES_PER_INSTRUCTION: usize = 256;

/// Verifies a function and those inside it.
///
/// # Errors
///
/// If one breaks a rule.
pub fn verify(data: &ProtoData) -> Result<(), ChunkError> {
    Verifier::new(data)?.run()?;
    data.protos.iter().try_for_each(verify)
}

/// What is known before an instruction runs.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    /// Registers that have been written on all paths (VF3).
    written: RegSet,
    /// Registers of variables that are to be closed on some path (VF4).
    to_close: RegSet,
}

struct Verifier<'a> {
    data: &'a ProtoData,
    /// Where branches lead.
    is_target: Vec<bool>,
    /// Whether functions inside capture variables of this one.
    is_captured: bool,
}

impl<'a> Verifier<'a> {
    fn new(data: &'a ProtoData) -> Result<Verifier<'a>, ChunkError> {
        let malformed = |what| Err(ChunkError::Malformed(what));
        if data.code.is_empty() {
            return malformed("a function without instructions");
        }
        if i32::try_from(data.code.len()).is_err() {
            return malformed("too long a function");
        }
        if !(2..=MAX_REGISTERS).contains(&data.max_stack.into()) || data.num_params > data.max_stack
        {
            return malformed("a wrong number of registers");
        }
        if data.upvalues.len() > 255 {
            return malformed("too many upvalues");
        }
        if !data.line_info.is_empty() && data.line_info.len() != data.code.len() {
            return malformed("lines for other instructions");
        }
        if data.local_vars.iter().any(|variable| variable.register.0 >= data.max_stack) {
            return malformed("a variable without a register");
        }
        let mut is_captured = false;
        for upvalue in data.protos.iter().flat_map(|child| &child.upvalues) {
            let exists = match upvalue.source {
                UpvalSource::ParentRegister(register) => {
                    is_captured = true;
                    register.0 < data.max_stack
                }
                UpvalSource::ParentUpvalue(upvalue) => usize::from(upvalue.0) < data.upvalues.len(),
            };
            if !exists {
                return malformed("an upvalue from nowhere");
            }
        }
        Ok(Verifier { data, is_target: vec![false; data.code.len()], is_captured })
    }

    fn run(mut self) -> Result<(), ChunkError> {
        for at in 0..self.data.code.len() {
            self.operands(at)?;
            self.rules(at)?;
        }
        for at in 0..self.data.code.len() {
            self.open_list(at)?;
        }
        self.flow()
    }

    // ---- one instruction (VF1) ----

    fn operands(&mut self, at: usize) -> Result<(), ChunkError> {
        let op = self.data.code[at];
        let invalid = |what| Err(ChunkError::Invalid { what, at });
        if Effect::of(op).extent > usize::from(self.data.max_stack) {
            return invalid("no such register");
        }
        for operand in op.operands() {
            match operand {
                Operand::Reg(register) if register.0 > self.data.max_stack => {
                    return invalid("no such register");
                }
                Operand::Const(k) if k.0 as usize >= self.data.constants.len() => {
                    return invalid("no such constant");
                }
                Operand::Up(upvalue) if usize::from(upvalue.0) >= self.data.upvalues.len() => {
                    return invalid("no such upvalue");
                }
                Operand::Child(child) if child.0 as usize >= self.data.protos.len() => {
                    return invalid("no such function");
                }
                Operand::Jump(offset) => {
                    let target = at as i64 + 1 + i64::from(offset.0);
                    let Some(target) = usize::try_from(target)
                        .ok()
                        .and_then(|target| self.is_target.get_mut(target))
                    else {
                        return invalid("a branch to nowhere");
                    };
                    *target = true;
                    let may_go_back =
                        matches!(op, Op::JmpBack { .. } | Op::ForLoop { .. } | Op::TForLoop { .. });
                    if offset.is_back() && !may_go_back {
                        return invalid("a branch back that must lead on");
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    #[expect(clippy::match_same_arms, reason = "each arm is about one kind of instruction")]
    fn rules(&mut self, at: usize) -> Result<(), ChunkError> {
        let data = self.data;
        let op = data.code[at];
        let is_last = at + 1 == data.code.len();
        let invalid = |what| Err(ChunkError::Invalid { what, at });
        let constant = |k: super::Const| &data.constants[k.0 as usize];
        let values_max = data.code.len().saturating_mul(VALUES_PER_INSTRUCTION);
        let is_return = matches!(
            op,
            Op::Return { .. } | Op::Return0 | Op::Return1 { .. } | Op::ReturnCloseAll { .. }
        );
        if is_last && !is_return {
            return invalid("no return at the end");
        }
        let holds = match op {
            Op::GetTabUp { key, .. }
            | Op::SetTabUp { key, .. }
            | Op::GetField { key, .. }
            | Op::SetField { key, .. }
            | Op::SelfField { key, .. } => matches!(constant(key), Constant::Str(_)),
            Op::SetFieldK { key, .. } => matches!(constant(key.into()), Constant::Str(_)),
            Op::AddK { k, .. }
            | Op::SubK { k, .. }
            | Op::MulK { k, .. }
            | Op::DivK { k, .. }
            | Op::IDivK { k, .. }
            | Op::ModK { k, .. }
            | Op::PowK { k, .. } => matches!(constant(k), Constant::Int(_) | Constant::Float(_)),
            Op::BAndK { k, .. } | Op::BOrK { k, .. } | Op::BXorK { k, .. } => {
                matches!(constant(k), Constant::Int(_))
            }
            Op::LoadNil { count, .. } => count > 0,
            Op::NewTable { array, .. } => array as usize <= values_max,
            Op::SetList { first, .. } => first > 0 && first as usize <= values_max,
            Op::Concat { count, .. } => count >= 2,
            Op::Return { close, .. } | Op::TailCall { close, .. } => close || !self.is_captured,
            Op::Return0 | Op::Return1 { .. } => !self.is_captured && !data.is_vararg,
            Op::ReturnCloseAll { .. } => true,
            Op::VarArg { .. } => data.is_vararg,
            Op::VarArgPrep { params } => at == 0 && data.is_vararg && params == data.num_params,
            Op::TForCall { count, .. } => count > 0,
            Op::TForLoop { base, .. } => {
                let call = at.checked_sub(1).map(|before| data.code[before]);
                matches!(call, Some(Op::TForCall { base: of_call, .. }) if of_call == base)
            }
            Op::ForPrep { .. } | Op::ForLoop { .. } | Op::TForPrep { .. } => true,
            Op::Move { .. }
            | Op::LoadI { .. }
            | Op::LoadK { .. }
            | Op::LoadFalse { .. }
            | Op::LoadTrue { .. }
            | Op::GetUpval { .. }
            | Op::SetUpval { .. } => true,
            Op::GetIndex { .. }
            | Op::GetInt { .. }
            | Op::SetIndex { .. }
            | Op::SetIndexK { .. }
            | Op::SetInt { .. } => true,
            Op::Add { .. }
            | Op::Sub { .. }
            | Op::Mul { .. }
            | Op::Div { .. }
            | Op::IDiv { .. }
            | Op::Mod { .. }
            | Op::Pow { .. }
            | Op::BAnd { .. }
            | Op::BOr { .. }
            | Op::BXor { .. }
            | Op::Shl { .. }
            | Op::Shr { .. } => true,
            Op::AddI { .. }
            | Op::SubI { .. }
            | Op::MulI { .. }
            | Op::DivI { .. }
            | Op::IDivI { .. }
            | Op::ModI { .. }
            | Op::PowI { .. }
            | Op::BAndI { .. }
            | Op::BOrI { .. }
            | Op::BXorI { .. }
            | Op::ShlI { .. }
            | Op::ShrI { .. } => true,
            Op::Unm { .. } | Op::BNot { .. } | Op::Not { .. } | Op::Len { .. } => true,
            Op::Jmp { .. }
            | Op::JmpBack { .. }
            | Op::JmpIf { .. }
            | Op::JmpIfNot { .. }
            | Op::MoveJmpIf { .. }
            | Op::MoveJmpIfNot { .. } => true,
            Op::Eq { .. }
            | Op::NotEq { .. }
            | Op::EqK { .. }
            | Op::NotEqK { .. }
            | Op::EqI { .. }
            | Op::NotEqI { .. }
            | Op::Lt { .. }
            | Op::NotLt { .. }
            | Op::Le { .. }
            | Op::NotLe { .. }
            | Op::LtI { .. }
            | Op::NotLtI { .. }
            | Op::LeI { .. }
            | Op::NotLeI { .. }
            | Op::GtI { .. }
            | Op::NotGtI { .. }
            | Op::GeI { .. }
            | Op::NotGeI { .. } => true,
            Op::Call { .. } | Op::Closure { .. } => true,
            Op::Close { .. } | Op::MarkToClose { .. } | Op::CloseAll { .. } => true,
        };
        if at == 0 && data.is_vararg && !matches!(op, Op::VarArgPrep { .. }) {
            return invalid("extra arguments that are not kept");
        }
        if holds { Ok(()) } else { invalid("an instruction that no source text gives") }
    }

    /// VF2.
    fn open_list(&self, at: usize) -> Result<(), ChunkError> {
        let invalid = |what| Err(ChunkError::Invalid { what, at });
        let before = at.checked_sub(1).map(|before| Effect::of(self.data.code[before]));
        let made = before.and_then(|effect| effect.writes_list_at);
        match (made, Effect::of(self.data.code[at]).reads_list_at) {
            (None, None) => Ok(()),
            (Some(_), None) => invalid("an open list that is not used"),
            (None, Some(_)) => invalid("no open list to be used"),
            (Some(made), Some(read)) if read > made || self.is_target[at] => {
                invalid("another open list than the last one")
            }
            (Some(_), Some(_)) => Ok(()),
        }
    }

    // ---- control flow (VF3, VF4) ----

    fn flow(&self) -> Result<(), ChunkError> {
        let mut known: Vec<Option<State>> = vec![None; self.data.code.len()];
        let mut written = RegSet::EMPTY;
        written.insert_range(0..self.data.num_params.into());
        known[0] = Some(State { written, to_close: RegSet::EMPTY });
        let mut waiting = vec![0];
        while let Some(at) = waiting.pop() {
            let Some(before) = known[at] else { continue };
            let mut reach = |target: usize, state: State| {
                let merged = match known[target] {
                    None => state,
                    Some(other) => State {
                        written: other.written.intersection(state.written),
                        to_close: other.to_close.union(state.to_close),
                    },
                };
                if known[target] != Some(merged) {
                    known[target] = Some(merged);
                    waiting.push(target);
                }
            };
            let (next, taken) = self.step(at, before)?;
            if let Some(state) = next {
                reach(at + 1, state);
            }
            if let (Some(state), Some(offset)) = (taken, self.data.code[at].offset()) {
                reach(offset.target(at), state);
            }
        }
        Ok(())
    }

    /// The facts known after an instruction: at the next instruction, and at the target of its
    /// branch.
    fn step(&self, at: usize, before: State) -> Result<(Option<State>, Option<State>), ChunkError> {
        let op = self.data.code[at];
        let effect = Effect::of(op);
        let invalid = |what| Err(ChunkError::Invalid { what, at });
        let mut reads = effect.reads;
        if let Some(read) = effect.reads_list_at {
            let made =
                at.checked_sub(1).and_then(|at| Effect::of(self.data.code[at]).writes_list_at);
            reads.insert_range(read..made.unwrap_or(read));
        }
        if let Op::Closure { dst, proto } = op {
            for upvalue in &self.data.protos[proto.0 as usize].upvalues {
                // A function may capture the variable that it is about to be assigned to.
                if let UpvalSource::ParentRegister(register) = upvalue.source
                    && register != Reg::from(dst)
                {
                    reads.insert(register.0);
                }
            }
        }
        if !reads.is_subset(before.written) {
            return invalid("a register is read that nothing has written");
        }
        let last = before.to_close.last();
        let is_above = |register: u8| last.is_none_or(|last| register > last);
        let mut state = before;
        if let Some(first) = effect.ruins_from {
            if last.is_some_and(|last| usize::from(last) >= first) {
                return invalid("a call takes the place of a variable that is to be closed");
            }
            let mut ruined = RegSet::EMPTY;
            ruined.insert_range(first..256);
            state.written = state.written.difference(ruined);
        }
        state.written = state.written.union(effect.writes);
        let mut taken = state;
        if let Some(register) = effect.writes_if_taken {
            taken.written.insert(register.0);
        }
        let close = |state: &mut State, from: Reg| {
            let mut closed = RegSet::EMPTY;
            closed.insert_range(from.index()..256);
            state.to_close = state.to_close.difference(closed);
        };
        Ok(match op {
            Op::Return { .. } | Op::Return0 | Op::Return1 { .. } | Op::TailCall { .. } => {
                if last.is_some() {
                    return invalid("a variable is not closed");
                }
                (None, None)
            }
            Op::ReturnCloseAll { .. } => (None, None),
            Op::MarkToClose { src } => {
                if !is_above(src.0) {
                    return invalid("variables are to be closed in another order");
                }
                state.to_close.insert(src.0);
                (Some(state), None)
            }
            Op::CloseAll { from } => {
                close(&mut state, from);
                (Some(state), None)
            }
            Op::Jmp { .. } | Op::JmpBack { .. } => (None, Some(taken)),
            Op::TForPrep { base, .. } => {
                let closing = base.saturating_add(3).0;
                if !is_above(closing) {
                    return invalid("variables are to be closed in another order");
                }
                taken.to_close.insert(closing);
                (None, Some(taken))
            }
            Op::TForLoop { base, .. } => {
                close(&mut state, base);
                (Some(state), Some(taken))
            }
            _ => (Some(state), op.offset().map(|_| taken)),
        })
    }
}
