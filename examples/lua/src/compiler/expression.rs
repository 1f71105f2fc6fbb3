//! The walk over expressions.
//!
//! # Invariants
//! * Operands are evaluated from left to right; a value that a later operand could change is first
//!   copied to a register of its own, except for plain local variables, as in C Lua.

use super::exp::{ConstantValue, Exp, Place};
use super::{Compiler, ENVIRONMENT, Reached, Resolved};
use crate::bytecode::{Count, Dst, MULTI, Op, Reg};
use crate::syntax::SyntaxError;
use crate::syntax::ast::{ChainLink, Expr, ExprKind, Function, Name, Suffix, TableItem};

/// Positional entries of a table constructor that are stored at a time.
const ITEMS_PER_FLUSH: u8 = 50;

impl<'s> Compiler<'s> {
    pub(super) fn expression(&mut self, expr: &Expr<'s>) -> Result<Exp, SyntaxError> {
        let exp = self.unfinished(expr)?;
        self.current.reached = Reached::after(expr.end);
        self.current.line = expr.end_line;
        Ok(exp)
    }

    fn unfinished(&mut self, expr: &Expr<'s>) -> Result<Exp, SyntaxError> {
        self.current.line = expr.line;
        Ok(Exp::new(match &expr.kind {
            ExprKind::Nil => Place::Nil,
            ExprKind::True => Place::True,
            ExprKind::False => Place::False,
            ExprKind::Int(value) => Place::Int(*value),
            ExprKind::Float(value) => Place::Float(*value),
            ExprKind::Str(value) => Place::Str(self.current.string_constant(value.clone())),
            ExprKind::Vararg => {
                Place::Vararg(self.current.emit(Op::VarArg { dst: Dst::OPEN, count: Count(1) }))
            }
            ExprKind::Function(function) => {
                let exp = self.closure(function)?;
                self.current.reached = Reached::after(expr.end);
                self.current.check_stack(1)?;
                return Ok(exp);
            }
            ExprKind::Name(name) => return self.variable(name),
            ExprKind::Paren(inner) => {
                let mut exp = self.expression(inner)?;
                self.current.line = expr.line;
                self.current.discharge(&mut exp);
                return Ok(exp);
            }
            ExprKind::Suffixed { base, suffixes } => return self.suffixed(base, suffixes),
            ExprKind::Table { open, items } => {
                self.current.reached = Reached::after(*open);
                return self.table(items, expr.line, (expr.end, expr.end_line));
            }
            ExprKind::Unary { op, operand } => {
                let mut exp = self.expression(operand)?;
                self.current.unary(*op, &mut exp, expr.line)?;
                return Ok(exp);
            }
            ExprKind::Chain { first, rest } => return self.chain(first, rest),
            ExprKind::Concat(parts) => return self.concat(parts, expr.line),
        }))
    }

    /// The expression's value in the next register.
    pub(super) fn push(&mut self, expr: &Expr<'s>) -> Result<(), SyntaxError> {
        let mut exp = self.expression(expr)?;
        self.current.put_next(&mut exp)?;
        Ok(())
    }

    /// As [`Compiler::push`], for an expression with another one after a comma or an operator. C Lua
    /// has read that token before it takes the register.
    fn push_and_go_on(&mut self, expr: &Expr<'s>) -> Result<(), SyntaxError> {
        let mut exp = self.expression(expr)?;
        self.current.reached.further = 1;
        self.current.line = expr.next_line;
        self.current.put_next(&mut exp)?;
        Ok(())
    }

    /// The values of all expressions but the last in the next registers; the last is returned open.
    pub(super) fn expression_list(&mut self, list: &[Expr<'s>]) -> Result<Exp, SyntaxError> {
        let Some((last, others)) = list.split_last() else { return Ok(Exp::new(Place::Void)) };
        for expr in others {
            self.push_and_go_on(expr)?;
        }
        self.expression(last)
    }

    // ---- names ----

    fn variable(&mut self, name: &Name<'s>) -> Result<Exp, SyntaxError> {
        self.current.reached = Reached::after(name.end);
        let place = match self.resolve(name)? {
            Resolved::Local(local) => Place::Local(self.current.locals[local].register),
            Resolved::Upvalue(index) => Place::Upvalue(index),
            Resolved::Constant(value) => self.constant_place(value),
            Resolved::Global => return self.global(name),
        };
        Ok(Exp::new(place))
    }

    fn constant_place(&mut self, value: ConstantValue<'s>) -> Place {
        match value {
            ConstantValue::Nil => Place::Nil,
            ConstantValue::Bool(true) => Place::True,
            ConstantValue::Bool(false) => Place::False,
            ConstantValue::Int(value) => Place::Int(value),
            ConstantValue::Float(value) => Place::Float(value),
            ConstantValue::Str(value) => Place::Str(self.current.string_constant(value)),
        }
    }

    /// A global is a field of the value of `_ENV`.
    pub(super) fn global(&mut self, name: &Name<'s>) -> Result<Exp, SyntaxError> {
        let mut table = self.variable(&Name { text: ENVIRONMENT, ..*name })?;
        self.current.put_any_or_upvalue(&mut table)?;
        let key = Place::Str(self.current.string_constant(name.text.into()));
        self.current.index(&mut table, Exp::new(key))?;
        Ok(table)
    }

    // ---- suffixes ----

    pub(super) fn suffixed(
        &mut self,
        base: &Expr<'s>,
        suffixes: &[Suffix<'s>],
    ) -> Result<Exp, SyntaxError> {
        let mut exp = self.expression(base)?;
        for suffix in suffixes {
            match suffix {
                Suffix::Field(name) => {
                    self.current.put_any_or_upvalue(&mut exp)?;
                    self.current.line = name.line;
                    let key = Place::Str(self.current.string_constant(name.text.into()));
                    self.current.index(&mut exp, Exp::new(key))?;
                    self.current.reached = Reached::after(name.end);
                }
                Suffix::Index { key, line } => {
                    self.current.put_any_or_upvalue(&mut exp)?;
                    let mut key = self.expression(key)?;
                    self.current.put_value(&mut key)?;
                    self.current.reached.further = 1;
                    self.current.index(&mut exp, key)?;
                    self.current.line = *line;
                }
                Suffix::Call { arguments, line, end } => {
                    let func = self.current.put_next(&mut exp)?;
                    exp = self.call(func, arguments, *line, *end)?;
                }
                Suffix::Method { name, arguments, line, end } => {
                    self.current.line = name.line;
                    self.current.discharge(&mut exp);
                    self.current.reached = Reached::after(name.end);
                    let key = self.current.string_constant(name.text.into());
                    self.current.method(&mut exp, key)?;
                    let Place::Register(func) = exp.place else { unreachable!("set by `method`") };
                    exp = self.call(func, arguments, *line, *end)?;
                }
            }
        }
        Ok(exp)
    }

    /// Calls the function in `func`; a method's object is in the register after it already.
    fn call(
        &mut self,
        func: Reg,
        arguments: &[Expr<'s>],
        line: u32,
        end: u32,
    ) -> Result<Exp, SyntaxError> {
        let mut last = self.expression_list(arguments)?;
        let state = &mut self.current;
        state.reached = Reached::after(end);
        if let Some(argument) = arguments.last() {
            state.line = argument.next_line;
        }
        let args = if last.is_multi() {
            state.set_open_results(&last)?;
            MULTI
        } else {
            if last.place != Place::Void {
                state.put_next(&mut last)?;
            }
            Count(state.free_register - (func + 1))
        };
        let pc = state.emit(Op::Call { func, args, results: Count(1) });
        state.fix_line(line);
        // The call removes function and arguments and leaves one result.
        state.free_register = func + 1;
        Ok(Exp::new(Place::Call(pc)))
    }

    // ---- operators ----

    fn chain(&mut self, first: &Expr<'s>, rest: &[ChainLink<'s>]) -> Result<Exp, SyntaxError> {
        let mut left = self.expression(first)?;
        for link in rest {
            self.current.line = link.line;
            self.current.reached.further = 1;
            self.current.left_operand(link.op, &mut left)?;
            let right = self.expression(&link.operand)?;
            left = self.current.binary(link.op, left, right, [link.line, link.operand.end_line])?;
        }
        Ok(left)
    }

    fn concat(&mut self, parts: &[Expr<'s>], line: u32) -> Result<Exp, SyntaxError> {
        let first = self.current.free_register;
        if let [others @ .., last] = parts {
            for part in others {
                self.push_and_go_on(part)?;
            }
            self.push(last)?;
        }
        self.current.free_register = first;
        let pc = self.current.emit(Op::Concat { dst: Dst::OPEN, first, count: parts.len() as u8 });
        self.current.fix_line(line);
        Ok(Exp::new(Place::Pending(pc)))
    }

    // ---- constructors ----

    pub(super) fn closure(&mut self, function: &Function<'s>) -> Result<Exp, SyntaxError> {
        let proto = self.nested_function(function)?;
        self.current.line = function.last_line;
        let pc = self.current.emit(Op::Closure { dst: Dst::OPEN, proto });
        Ok(Exp::new(Place::Pending(pc)))
    }

    fn table(
        &mut self,
        items: &[TableItem<'s>],
        line: u32,
        (end, end_line): (u32, u32),
    ) -> Result<Exp, SyntaxError> {
        let pc = self.current.emit(Op::NewTable { dst: Dst::OPEN, array: 0, hash: 0 });
        let mut table = Exp::new(Place::Pending(pc));
        let register = self.current.put_next(&mut table)?;
        let (mut stored, mut pushed, mut hash) = (0u32, 0u8, 0u32);
        // A last positional entry may have any number of values.
        let mut open_end = false;
        for (index, item) in items.iter().enumerate() {
            match item {
                TableItem::Positional(value) => {
                    let mut exp = self.expression(value)?;
                    if exp.is_multi() && index + 1 == items.len() {
                        self.current.set_open_results(&exp)?;
                        open_end = true;
                        break;
                    }
                    // C Lua has read what follows before it takes the register.
                    if index + 1 < items.len() {
                        self.current.reached.further = 1;
                        self.current.line = value.next_line;
                    } else {
                        self.current.reached = Reached::after(end);
                        self.current.line = end_line;
                    }
                    self.current.put_next(&mut exp)?;
                    pushed += 1;
                    if pushed == ITEMS_PER_FLUSH {
                        self.flush(register, Count(pushed), stored);
                        stored += u32::from(pushed);
                        pushed = 0;
                    }
                }
                TableItem::Named(name, value) => {
                    hash += 1;
                    self.current.line = name.line;
                    let key = Place::Str(self.current.string_constant(name.text.into()));
                    self.table_field(register, Exp::new(key), value)?;
                }
                TableItem::Keyed(key, value) => {
                    hash += 1;
                    let free = self.current.free_register;
                    let mut key = self.expression(key)?;
                    self.current.put_value(&mut key)?;
                    // `]` and `=`
                    self.current.reached.further = 2;
                    self.table_field(register, key, value)?;
                    self.current.free_register = free;
                }
            }
        }
        self.current.line = end_line;
        if open_end {
            self.flush(register, MULTI, stored);
        } else if pushed > 0 {
            self.flush(register, Count(pushed), stored);
        }
        let (array, hash) = (stored + u32::from(pushed), u16::try_from(hash).unwrap_or(u16::MAX));
        self.current.code[pc] = Op::NewTable { dst: Dst(register), array, hash };
        self.current.lines[pc] = line;
        Ok(table)
    }

    fn table_field(&mut self, table: Reg, key: Exp, value: &Expr<'s>) -> Result<(), SyntaxError> {
        let free = self.current.free_register;
        let mut target = Exp::new(Place::Register(table));
        self.current.index(&mut target, key)?;
        let value = self.expression(value)?;
        self.current.store(&target, value)?;
        self.current.free_register = free;
        Ok(())
    }

    fn flush(&mut self, table: Reg, count: Count, stored: u32) {
        self.current.emit(Op::SetList { table, count, first: stored + 1 });
        self.current.free_register = table + 1;
    }
}
