//! The grammar of expressions.
//!
//! # Invariants
//! * A chain or concatenation grows only in the loop of [`Parser::sub_expression`] that
//!   started it, so its nesting is that of the source.

use super::super::ast::{BinaryOp, ChainLink, Expr, ExprKind, Suffix, TableItem, UnaryOp};
use super::super::lexer::Token;
use super::{Parsed, Parser};

/// How tightly a binary operator binds to its left and right operand.
struct Precedence {
    op: Infix,
    left: u8,
    right: u8,
}

enum Infix {
    Binary(BinaryOp),
    Concat,
}

/// Precedence of unary operators.
const UNARY_PRECEDENCE: u8 = 12;

fn precedence(token: &Token<'_>) -> Option<Precedence> {
    use BinaryOp::*;
    let (op, left, right) = match token {
        Token::Or => (Or, 1, 1),
        Token::And => (And, 2, 2),
        Token::Equal => (Eq, 3, 3),
        Token::NotEqual => (Ne, 3, 3),
        Token::Less => (Lt, 3, 3),
        Token::LessEqual => (Le, 3, 3),
        Token::Greater => (Gt, 3, 3),
        Token::GreaterEqual => (Ge, 3, 3),
        Token::Pipe => (BOr, 4, 4),
        Token::Tilde => (BXor, 5, 5),
        Token::Ampersand => (BAnd, 6, 6),
        Token::ShiftLeft => (Shl, 7, 7),
        Token::ShiftRight => (Shr, 7, 7),
        // Right associative; a run of them is gathered by a loop, hence 9 on both sides.
        Token::Concat => return Some(Precedence { op: Infix::Concat, left: 9, right: 9 }),
        Token::Plus => (Add, 10, 10),
        Token::Minus => (Sub, 10, 10),
        Token::Star => (Mul, 11, 11),
        Token::Slash => (Div, 11, 11),
        Token::DoubleSlash => (IDiv, 11, 11),
        Token::Percent => (Mod, 11, 11),
        Token::Caret => (Pow, 14, 13),
        _ => return None,
    };
    Some(Precedence { op: Infix::Binary(op), left, right })
}

fn unary_op(token: &Token<'_>) -> Option<UnaryOp> {
    match token {
        Token::Not => Some(UnaryOp::Not),
        Token::Minus => Some(UnaryOp::Minus),
        Token::Tilde => Some(UnaryOp::BNot),
        Token::Hash => Some(UnaryOp::Len),
        _ => None,
    }
}

impl<'s> Parser<'s> {
    pub(super) fn expression_list(&mut self) -> Parsed<Vec<Expr<'s>>> {
        let mut list = vec![self.expression()?];
        while self.accept(&Token::Comma)? {
            list.push(self.expression()?);
        }
        Ok(list)
    }

    pub(super) fn expression(&mut self) -> Parsed<Expr<'s>> {
        self.sub_expression(0)
    }

    /// An expression whose binary operators all bind tighter than `limit`.
    fn sub_expression(&mut self, limit: u8) -> Parsed<Expr<'s>> {
        self.enter_level()?;
        let mut left = if let Some(op) = unary_op(&self.current.token) {
            let line = self.current.line;
            self.advance()?;
            let operand = Box::new(self.sub_expression(UNARY_PRECEDENCE)?);
            self.expr(line, ExprKind::Unary { op, operand })
        } else {
            self.simple_expression()?
        };
        while let Some(found) = precedence(&self.current.token)
            && found.left > limit
        {
            let line = self.current.line;
            self.advance()?;
            let operand = self.sub_expression(found.right)?;
            left = match found.op {
                Infix::Binary(op) => chain(left, ChainLink { op, line, operand }),
                Infix::Concat => self.concat(left, operand, line)?,
            };
        }
        self.leave_level();
        Ok(left)
    }

    fn concat(&mut self, first: Expr<'s>, second: Expr<'s>, mut line: u32) -> Parsed<Expr<'s>> {
        let mut parts = vec![first, second];
        let depth = self.depth;
        while self.at(&Token::Concat) {
            line = self.current.line;
            self.advance()?;
            // C Lua recurses for each.
            self.enter_level()?;
            parts.push(self.sub_expression(9)?);
        }
        self.depth = depth;
        Ok(self.expr(line, ExprKind::Concat(parts)))
    }

    /// An expression that ends with the last token.
    pub(super) fn expr(&self, line: u32, kind: ExprKind<'s>) -> Expr<'s> {
        Expr {
            line,
            end: self.last_end as u32,
            end_line: self.last_line,
            next_line: self.current.line,
            kind,
        }
    }

    fn simple_expression(&mut self) -> Parsed<Expr<'s>> {
        let line = self.current.line;
        let kind = match self.current.token {
            Token::Int(value) => ExprKind::Int(value),
            Token::Float(value) => ExprKind::Float(value),
            Token::Nil => ExprKind::Nil,
            Token::True => ExprKind::True,
            Token::False => ExprKind::False,
            Token::Ellipsis => {
                if !self.function().is_vararg {
                    return Err(self.error("cannot use '...' outside a vararg function"));
                }
                let before = self.last_line;
                self.advance()?;
                return Ok(self.expr(before, ExprKind::Vararg));
            }
            Token::Str(_) => {
                let Token::Str(value) = self.advance()? else { unreachable!("matched above") };
                return Ok(self.expr(line, ExprKind::Str(value)));
            }
            Token::OpenBrace => return self.table(),
            Token::Function => {
                self.advance()?;
                let function = self.function_body(None, line)?;
                return Ok(self.expr(self.last_line, ExprKind::Function(function)));
            }
            _ => return self.suffixed_expression(),
        };
        self.advance()?;
        Ok(self.expr(line, kind))
    }

    fn primary_expression(&mut self) -> Parsed<Expr<'s>> {
        let line = self.current.line;
        match self.current.token {
            Token::Name(_) => {
                let name = self.name()?;
                Ok(self.expr(line, ExprKind::Name(name)))
            }
            Token::OpenParen => {
                self.advance()?;
                let inner = Box::new(self.expression()?);
                self.expect_match(&Token::CloseParen, &Token::OpenParen, line)?;
                Ok(self.expr(self.last_line, ExprKind::Paren(inner)))
            }
            _ => Err(self.error("unexpected symbol")),
        }
    }

    pub(super) fn suffixed_expression(&mut self) -> Parsed<Expr<'s>> {
        // C Lua's line is that of the last token it has read.
        let line = self.ahead.as_ref().unwrap_or(&self.current).line;
        let base = self.primary_expression()?;
        let mut suffixes = Vec::new();
        loop {
            suffixes.push(match self.current.token {
                Token::Dot => {
                    self.advance()?;
                    Suffix::Field(self.name()?)
                }
                Token::OpenBracket => {
                    let key = self.bracketed()?;
                    Suffix::Index { key, line: self.last_line }
                }
                Token::Colon => {
                    self.advance()?;
                    let name = self.name()?;
                    let arguments = self.arguments(line)?;
                    Suffix::Method { name, arguments, line, end: self.last_end as u32 }
                }
                Token::OpenParen | Token::Str(_) | Token::OpenBrace => {
                    let arguments = self.arguments(line)?;
                    Suffix::Call { arguments, line, end: self.last_end as u32 }
                }
                _ => break,
            });
        }
        Ok(self.suffixed(base, suffixes))
    }

    /// Wraps `base` if there is anything to apply to it.
    pub(super) fn suffixed(&self, base: Expr<'s>, suffixes: Vec<Suffix<'s>>) -> Expr<'s> {
        if suffixes.is_empty() {
            return base;
        }
        self.expr(self.last_line, ExprKind::Suffixed { base: Box::new(base), suffixes })
    }

    /// `[expression]`
    fn bracketed(&mut self) -> Parsed<Expr<'s>> {
        self.advance()?;
        let key = self.expression()?;
        self.expect(&Token::CloseBracket)?;
        Ok(key)
    }

    /// Call arguments; `line` is where the called expression starts, for messages.
    fn arguments(&mut self, line: u32) -> Parsed<Vec<Expr<'s>>> {
        match self.current.token {
            Token::OpenParen => {
                self.advance()?;
                let list =
                    if self.at(&Token::CloseParen) { Vec::new() } else { self.expression_list()? };
                self.expect_match(&Token::CloseParen, &Token::OpenParen, line)?;
                Ok(list)
            }
            Token::OpenBrace | Token::Str(_) => {
                let mut argument = self.simple_expression()?;
                // The call ends with it: the token that follows is another statement's.
                argument.next_line = argument.end_line;
                Ok(vec![argument])
            }
            _ => Err(self.error("function arguments expected")),
        }
    }

    fn table(&mut self) -> Parsed<Expr<'s>> {
        let (before, line, open) = (self.last_line, self.current.line, self.current.start as u32);
        self.advance()?;
        let mut items = Vec::new();
        while !self.at(&Token::CloseBrace) {
            items.push(self.table_item()?);
            if !self.accept(&Token::Comma)? && !self.accept(&Token::Semicolon)? {
                break;
            }
        }
        self.expect_match(&Token::CloseBrace, &Token::OpenBrace, line)?;
        Ok(self.expr(before, ExprKind::Table { open, items }))
    }

    fn table_item(&mut self) -> Parsed<TableItem<'s>> {
        let is_named = matches!(self.current.token, Token::Name(_)) && self.assignment_follows()?;
        match self.current.token {
            Token::Name(_) if is_named => {
                let name = self.name()?;
                self.advance()?;
                Ok(TableItem::Named(name, self.expression()?))
            }
            Token::OpenBracket => {
                let key = self.bracketed()?;
                self.expect(&Token::Assign)?;
                Ok(TableItem::Keyed(key, self.expression()?))
            }
            _ => Ok(TableItem::Positional(self.expression()?)),
        }
    }

    fn assignment_follows(&mut self) -> Parsed<bool> {
        let ahead = self.lexer.next_lexeme()?;
        let found = ahead.token == Token::Assign;
        self.ahead = Some(ahead);
        Ok(found)
    }
}

/// Adds an operator to the chain that ends in `left`. A chain that comes from parentheses is wrapped
/// in [`ExprKind::Paren`], so every bare chain is one that may grow.
fn chain<'s>(left: Expr<'s>, link: ChainLink<'s>) -> Expr<'s> {
    let line = link.line;
    let Expr { end, end_line, next_line, .. } = link.operand;
    let (first, mut rest) = match left.kind {
        ExprKind::Chain { first, rest } => (first, rest),
        kind => (Box::new(Expr { kind, ..left }), Vec::new()),
    };
    rest.push(link);
    Expr { line, end, end_line, next_line, kind: ExprKind::Chain { first, rest } }
}
