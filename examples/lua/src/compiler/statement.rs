//! The walk over statements.

use std::borrow::Cow;

use super::discharge::Sense;
use super::exp::{ConstantValue, Exp, JumpList, Place};
use super::scope::{BlockKind, VariableKind};
use super::{Compiler, Reached, Resolved};
use crate::bytecode::{Constant, Count, Dst, Jump, MULTI, Op};
use crate::syntax::SyntaxError;
use crate::syntax::ast::{
    Attribute, Block, Expr, ExprKind, LocalName, Name, Stat, StatKind, Target,
};

/// Name of the hidden variables of `for` loops.
const LOOP_STATE: &[u8] = b"(for state)";

type Compiled = Result<(), SyntaxError>;

impl<'s> Compiler<'s> {
    pub(super) fn statements(&mut self, block: &Block<'s>) -> Compiled {
        for stat in &block.stats {
            self.statement(stat)?;
            self.current.free_register = self.current.local_registers();
        }
        Ok(())
    }

    /// A block with a scope of its own.
    fn block(&mut self, block: &Block<'s>) -> Compiled {
        self.current.enter_block(BlockKind::Plain);
        self.statements(block)?;
        self.current.line = block.last_line;
        self.leave_block()
    }

    /// Ends a block that is not a function's, where gotos cannot fail.
    fn leave_block(&mut self) -> Compiled {
        let line = self.current.line;
        self.current.leave_block(line)
    }

    fn statement(&mut self, stat: &Stat<'s>) -> Compiled {
        self.current.line = stat.line;
        match &stat.kind {
            StatKind::Call(call) => {
                let exp = self.expression(call)?;
                self.current.set_results(&exp, Count(0))
            }
            StatKind::Local { names, values } => self.local(names, values),
            StatKind::Assign { targets, values } => self.assign(targets, values),
            StatKind::LocalFunction { name, function } => {
                self.current.activate(name.text, VariableKind::Regular);
                // In scope inside the function, but without a value before; the closure lands in
                // the variable's register because that is the next free one.
                let mut value = self.closure(function)?;
                self.current.put_next(&mut value)?;
                self.current.restart_newest();
                Ok(())
            }
            StatKind::Function { target, function } => {
                let place = self.target(target)?;
                let value = self.closure(function)?;
                self.current.store(&place, value)?;
                self.current.fix_line(stat.line);
                Ok(())
            }
            StatKind::If { arms, otherwise } => self.if_else(arms, otherwise.as_ref()),
            StatKind::While { condition, body, end_line } => {
                self.while_loop(condition, body, *end_line)
            }
            StatKind::Repeat { body, condition } => self.repeat_loop(body, condition),
            StatKind::NumericFor { variable, start, limit, step, do_line, body, end_line } => {
                let bounds = [Some(start), Some(limit), step.as_ref()];
                self.numeric_for(variable, bounds, body, [*do_line, stat.line, *end_line])
            }
            StatKind::GenericFor { names, values, values_line, body, end_line } => {
                self.generic_for(names, values, body, [*values_line, *end_line])
            }
            StatKind::Do(body) => self.block(body),
            StatKind::Goto(name) => {
                self.current.goto(name.text, name.line);
                Ok(())
            }
            StatKind::Break => {
                let jumps = self.current.jump();
                self.current.break_with(jumps, stat.line);
                Ok(())
            }
            StatKind::Label { name, is_last, next_line } => {
                self.current.label(name.text, name.line, *is_last, *next_line)
            }
            StatKind::Return(values) => self.return_values(values),
        }
    }

    // ---- variables ----

    fn local(&mut self, names: &[LocalName<'s>], values: &[Expr<'s>]) -> Compiled {
        if let ([], Some(last)) = (values, names.last()) {
            self.current.line = last.name.line;
        }
        let mut last = self.expression_list(values)?;
        let mut names = names;
        let mut constant = None;
        if let [others @ .., name] = names
            && name.attribute == Attribute::Const
            && values.len() == names.len()
            && let Some(value) = self.constant_value(&last)
        {
            constant = Some((name.name.text, VariableKind::Constant(value)));
            names = others;
        }
        if constant.is_none() {
            self.adjust(names.len(), values.len(), &mut last)?;
        }
        let mut to_close = None;
        for LocalName { name, attribute } in names {
            let kind = match attribute {
                Attribute::None => VariableKind::Regular,
                Attribute::Const | Attribute::Close => VariableKind::ReadOnly,
            };
            if *attribute == Attribute::Close {
                to_close = Some(self.current.local_registers());
            }
            self.current.activate(name.text, kind);
        }
        if let Some((name, kind)) = constant {
            self.current.activate(name, kind);
        }
        if let Some(src) = to_close {
            self.current.mark_to_close();
            self.current.emit(Op::MarkToClose { src });
        }
        Ok(())
    }

    fn constant_value(&self, exp: &Exp) -> Option<ConstantValue<'s>> {
        if !exp.is_constant() {
            return None;
        }
        match exp.place {
            Place::Nil => Some(ConstantValue::Nil),
            Place::True => Some(ConstantValue::Bool(true)),
            Place::False => Some(ConstantValue::Bool(false)),
            Place::Int(value) => Some(ConstantValue::Int(value)),
            Place::Float(value) => Some(ConstantValue::Float(value)),
            Place::Str(index) => match self.current.constant_at(index) {
                Constant::Str(bytes) => Some(ConstantValue::Str(Cow::Owned(bytes.to_vec()))),
                _ => None,
            },
            _ => None,
        }
    }

    /// Makes `values` expressions, of which `last` is still open, fill `wanted` registers.
    fn adjust(&mut self, wanted: usize, values: usize, last: &mut Exp) -> Compiled {
        let state = &mut self.current;
        if last.is_multi() {
            let results = (wanted + 1).saturating_sub(values);
            state.set_results(last, Count(results as u8))?;
        } else {
            if last.place != Place::Void {
                state.put_next(last)?;
            }
            if wanted > values {
                state.check_stack(wanted - values)?;
                state.load_nil(state.free_register, (wanted - values) as u8);
            }
        }
        if wanted > values {
            state.reserve(wanted - values)?;
        } else {
            state.free_register -= (values - wanted) as u8;
        }
        Ok(())
    }

    // ---- assignment ----

    /// The place of an assignment's target.
    fn target(&mut self, target: &Target<'s>) -> Result<Exp, SyntaxError> {
        match &target.place.kind {
            ExprKind::Name(name) => {
                self.current.line = name.line;
                self.current.reached = Reached::after(name.end);
                self.target_variable(name, target.next_line)
            }
            ExprKind::Suffixed { base, suffixes } => {
                self.current.line = target.place.line;
                self.suffixed(base, suffixes)
            }
            other => unreachable!("the parser accepts no assignment to {other:?}"),
        }
    }

    fn target_variable(&mut self, name: &Name<'s>, next_line: u32) -> Result<Exp, SyntaxError> {
        let (place, is_read_only) = match self.resolve(name)? {
            Resolved::Local(index) => {
                let local = &self.current.locals[index];
                let is_read_only = !matches!(local.kind, VariableKind::Regular);
                (Place::Local(local.register), is_read_only)
            }
            Resolved::Upvalue(index) => {
                let upvalue = &self.current.upvalues[usize::from(index.0)];
                (Place::Upvalue(index), upvalue.is_read_only)
            }
            Resolved::Constant(_) => (Place::Void, true),
            Resolved::Global => return self.global(name),
        };
        if is_read_only {
            let name = String::from_utf8_lossy(name.text);
            let message = format!("attempt to assign to const variable '{name}'");
            return Err(self.error(next_line, &message));
        }
        Ok(Exp::new(place))
    }

    fn assign(&mut self, targets: &[Target<'s>], values: &[Expr<'s>]) -> Compiled {
        let mut places: Vec<Exp> = Vec::with_capacity(targets.len());
        for target in targets {
            let place = self.target(target)?;
            self.protect_operands(&mut places, place)?;
            places.push(place);
        }
        let mut last = self.expression_list(values)?;
        if values.len() == places.len() {
            // The last value goes straight to the last target.
            self.current.set_one_result(&mut last);
            let place = places.pop().expect("an assignment has targets");
            self.current.store(&place, last)?;
        } else {
            self.adjust(places.len(), values.len(), &mut last)?;
        }
        for place in places.iter().rev() {
            let value = Exp::new(Place::Register(self.current.free_register - 1));
            self.current.store(place, value)?;
        }
        Ok(())
    }

    /// `place` is going to be assigned. Earlier targets that index it, or index with it, need its
    /// old value: give them a copy.
    fn protect_operands(&mut self, earlier: &mut [Exp], place: Exp) -> Compiled {
        let copy = self.current.free_register;
        let mut is_used = false;
        for target in earlier {
            match (&mut target.place, place.place) {
                (Place::Indexed { table, key }, Place::Local(register)) => {
                    for operand in [table, key] {
                        if *operand == register {
                            *operand = copy;
                            is_used = true;
                        }
                    }
                }
                (
                    Place::IndexedInt { table, .. } | Place::IndexedField { table, .. },
                    Place::Local(register),
                ) if *table == register => {
                    *table = copy;
                    is_used = true;
                }
                (Place::IndexedUpvalue { upval, key }, Place::Upvalue(index))
                    if *upval == index =>
                {
                    target.place = Place::IndexedField { table: copy, key: *key };
                    is_used = true;
                }
                _ => {}
            }
        }
        if is_used {
            self.current.reserve(1)?;
            let op = match place.place {
                Place::Upvalue(upval) => Op::GetUpval { dst: Dst(copy), upval },
                Place::Local(src) => Op::Move { dst: Dst(copy), src },
                other => unreachable!("{other:?} is no variable"),
            };
            self.current.emit(op);
        }
        Ok(())
    }

    // ---- control flow ----

    /// Tests a condition; returns the branches that are taken when it is false.
    fn exit_if_false(&mut self, mut exp: Exp) -> Result<JumpList, SyntaxError> {
        if exp.place == Place::Nil {
            exp.place = Place::False;
        }
        self.current.branch_on(&mut exp, Sense::False)?;
        Ok(exp.when_false)
    }

    fn if_else(
        &mut self,
        arms: &[(Expr<'s>, Block<'s>)],
        otherwise: Option<&Block<'s>>,
    ) -> Compiled {
        let mut ends = JumpList::EMPTY;
        for (index, (condition, body)) in arms.iter().enumerate() {
            if let [Stat { kind: StatKind::Break, line }] = body.stats.as_slice() {
                // The condition itself leaves the loop.
                let mut exp = self.expression(condition)?;
                self.current.line = condition.next_line;
                self.current.branch_on(&mut exp, Sense::True)?;
                self.current.drop_values(exp.when_true);
                self.current.break_with(exp.when_true, *line);
                continue;
            }
            let exp = self.expression(condition)?;
            // Tested after `then`.
            self.current.line = condition.next_line;
            let next_arm = self.exit_if_false(exp)?;
            self.block(body)?;
            if index + 1 < arms.len() || otherwise.is_some() {
                let mut end = self.current.jump();
                self.current.join(&mut end, ends);
                ends = end;
            }
            self.current.patch_here(next_arm);
        }
        if let Some(block) = otherwise {
            self.block(block)?;
        }
        self.current.patch_here(ends);
        Ok(())
    }

    fn while_loop(&mut self, condition: &Expr<'s>, body: &Block<'s>, end_line: u32) -> Compiled {
        let start = self.current.here();
        let condition = self.expression(condition)?;
        let exit = self.exit_if_false(condition)?;
        self.current.enter_block(BlockKind::Loop);
        self.block(body)?;
        self.current.jump_back(start);
        self.current.line = end_line;
        self.leave_block()?;
        self.current.patch_here(exit);
        Ok(())
    }

    fn repeat_loop(&mut self, body: &Block<'s>, condition: &Expr<'s>) -> Compiled {
        let start = self.current.here();
        self.current.enter_block(BlockKind::Loop);
        // The condition sees the body's variables.
        self.current.enter_block(BlockKind::Plain);
        self.statements(body)?;
        let mut exp = self.expression(condition)?;
        let runs_once = exp.is_constant() && !matches!(exp.place, Place::Nil | Place::False);
        if !runs_once {
            self.current.branch_on(&mut exp, Sense::True)?;
            self.current.close_block();
            self.current.jump_back(start);
            self.current.patch_here(exp.when_true);
        }
        self.leave_block()?;
        self.leave_block()
    }

    fn numeric_for(
        &mut self,
        variable: &Name<'s>,
        bounds: [Option<&Expr<'s>>; 3],
        body: &Block<'s>,
        [do_line, line, end_line]: [u32; 3],
    ) -> Compiled {
        self.current.enter_block(BlockKind::Loop);
        let base = self.current.free_register;
        for bound in bounds {
            match bound {
                Some(expr) => self.push(expr)?,
                None => {
                    self.current.reserve(1)?;
                    self.current.emit(Op::LoadI { dst: Dst(base + 2), value: 1 });
                }
            }
        }
        for _ in 0..3 {
            self.current.activate(LOOP_STATE, VariableKind::Regular);
        }
        self.current.line = do_line;
        let entry = self.current.emit_branch(Op::ForPrep { base, offset: Jump::OPEN });
        let body_start = self.current.here();
        self.loop_body(&[*variable], body)?;
        let back = self.current.pc();
        let offset = Jump::between(back, body_start);
        self.current.emit(Op::ForLoop { base, offset });
        self.current.fix_line(line);
        self.current.patch_here(entry);
        self.current.line = end_line;
        self.leave_block()
    }

    fn generic_for(
        &mut self,
        names: &[Name<'s>],
        values: &[Expr<'s>],
        body: &Block<'s>,
        [line, end_line]: [u32; 2],
    ) -> Compiled {
        self.current.enter_block(BlockKind::Loop);
        let base = self.current.free_register;
        let mut last = self.expression_list(values)?;
        self.adjust(4, values.len(), &mut last)?;
        for _ in 0..4 {
            self.current.activate(LOOP_STATE, VariableKind::Regular);
        }
        self.current.mark_for_state_to_close();
        // The iterator call needs three registers, however few variables there are.
        self.current.check_stack(3)?;
        let entry = self.current.emit_branch(Op::TForPrep { base, offset: Jump::OPEN });
        let body_start = self.current.here();
        self.loop_body(names, body)?;
        self.current.patch_here(entry);
        self.current.emit(Op::TForCall { base, count: names.len() as u8 });
        self.current.fix_line(line);
        let back = self.current.pc();
        let offset = Jump::between(back, body_start);
        self.current.emit(Op::TForLoop { base, offset });
        self.current.fix_line(line);
        self.current.line = end_line;
        self.leave_block()
    }

    /// A turn of a `for` loop: new variables in the next registers, then the body.
    fn loop_body(&mut self, names: &[Name<'s>], body: &Block<'s>) -> Compiled {
        self.current.enter_block(BlockKind::Plain);
        for name in names {
            self.current.activate(name.text, VariableKind::Regular);
        }
        self.current.reserve(names.len())?;
        self.block(body)?;
        self.leave_block()
    }

    fn return_values(&mut self, values: &[Expr<'s>]) -> Compiled {
        let first = self.current.local_registers();
        let mut last = self.expression_list(values)?;
        let state = &mut self.current;
        let closes = state.is_inside_to_close();
        if last.is_multi() {
            state.set_open_results(&last)?;
            if closes {
                state.emit(Op::ReturnCloseAll { first, count: MULTI });
                return Ok(());
            }
            if let (Place::Call(pc), 1) = (last.place, values.len())
                && let Op::Call { func, args, .. } = state.code[pc]
            {
                state.code[pc] = Op::TailCall { func, args, close: false };
                return Ok(());
            }
            state.emit(Op::Return { first, count: MULTI, close: false });
            return Ok(());
        }
        let op = match values.len() {
            0 if closes => Op::ReturnCloseAll { first, count: Count(0) },
            1 if closes => Op::ReturnCloseAll { first: state.put_any(&mut last)?, count: Count(1) },
            count if closes => {
                state.put_next(&mut last)?;
                Op::ReturnCloseAll { first, count: Count(count as u8) }
            }
            0 => Op::Return0,
            1 => Op::Return1 { src: state.put_any(&mut last)? },
            count => {
                state.put_next(&mut last)?;
                Op::Return { first, count: Count(count as u8), close: false }
            }
        };
        state.emit(op);
        Ok(())
    }
}
