//! The parser: tokens to a syntax tree, by recursive descent with operator precedences.
//!
//! Called by the compiler only.
//!
//! # Invariants
//! * Every recursion passes through [`Parser::statement`] or `sub_expression`,
//!   which count levels (SY2).
//! * `functions` has one entry per function being parsed, the main chunk first.

mod expression;

use std::mem;

use super::ast::{
    Attribute, Block, Expr, ExprKind, Function, LocalName, Name, Stat, StatKind, Suffix, Target,
};
use super::lexer::{Lexeme, Lexer, Token};
use super::{MAX_DEPTH, SyntaxError};
use crate::thread::NESTING_OVERFLOW;

/// Local variables that one function may have at a time.
pub const MAX_LOCALS: usize = 200;

/// Parses a chunk. `source` is what `chunk_name` names, as in C Lua's `lua_load`; statements and
/// expressions nest at most `max_depth` deep.
///
/// # Errors
/// The first error of the lexer or the grammar.
pub fn parse<'s>(
    source: &'s [u8],
    chunk_name: &'s str,
    max_depth: usize,
) -> Result<Function<'s>, SyntaxError> {
    let mut lexer = Lexer::new(source, chunk_name);
    let current = lexer.next_lexeme()?;
    let mut parser = Parser {
        chunk_name,
        current,
        lexer,
        ahead: None,
        last_line: 1,
        last_end: 0,
        depth: 0,
        max_depth: max_depth.min(MAX_DEPTH),
        functions: vec![FunctionScope { line: 0, is_vararg: true, locals: 0 }],
    };
    let body = parser.block()?;
    parser.check(&Token::Eof)?;
    Ok(Function {
        params: Vec::new(),
        is_vararg: true,
        body,
        line: 0,
        // A chunk ends with its last token.
        last_line: parser.last_line,
        next_line: parser.current.line,
    })
}

struct FunctionScope {
    line: u32,
    is_vararg: bool,
    locals: usize,
}

struct Parser<'s> {
    lexer: Lexer<'s>,
    chunk_name: &'s str,
    current: Lexeme<'s>,
    ahead: Option<Lexeme<'s>>,
    /// Line and end of the last token that was consumed.
    last_line: u32,
    last_end: usize,
    depth: usize,
    max_depth: usize,
    functions: Vec<FunctionScope>,
}

type Parsed<T> = Result<T, SyntaxError>;

impl<'s> Parser<'s> {
    // ---- tokens ----

    fn advance(&mut self) -> Parsed<Token<'s>> {
        let next = match self.ahead.take() {
            Some(lexeme) => lexeme,
            None => self.lexer.next_lexeme()?,
        };
        let consumed = mem::replace(&mut self.current, next);
        self.last_line = consumed.line;
        self.last_end = consumed.end;
        Ok(consumed.token)
    }

    fn at(&self, token: &Token<'_>) -> bool {
        self.current.token == *token
    }

    fn accept(&mut self, token: &Token<'_>) -> Parsed<bool> {
        let found = self.at(token);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn check(&self, token: &Token<'_>) -> Parsed<()> {
        if self.at(token) { Ok(()) } else { Err(self.expected(token)) }
    }

    fn expect(&mut self, token: &Token<'_>) -> Parsed<()> {
        self.check(token)?;
        self.advance()?;
        Ok(())
    }

    /// Expects `close`, which belongs to the `open` on `line`.
    fn expect_match(&mut self, close: &Token<'_>, open: &Token<'_>, line: u32) -> Parsed<()> {
        if self.at(close) || line == self.current.line {
            return self.expect(close);
        }
        let (close, open) = (close.expected(), open.expected());
        Err(self.error(&format!("{close} expected (to close {open} at line {line})")))
    }

    fn name(&mut self) -> Parsed<Name<'s>> {
        let Token::Name(text) = self.current.token else {
            return Err(self.expected(&Token::Name(b"")));
        };
        self.advance()?;
        Ok(Name { text, line: self.last_line, end: self.last_end as u32 })
    }

    // ---- errors and limits ----

    fn error(&self, message: &str) -> SyntaxError {
        self.error_without_token(message).near(&self.lexer.show(&self.current))
    }

    fn error_without_token(&self, message: &str) -> SyntaxError {
        SyntaxError::new(self.chunk_name, self.current.line, message)
    }

    fn expected(&self, token: &Token<'_>) -> SyntaxError {
        self.error(&format!("{} expected", token.expected()))
    }

    fn enter_level(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > self.max_depth {
            // In real Lua an error of the machine, not of the syntax.
            return Err(SyntaxError { message: NESTING_OVERFLOW.to_owned(), at_eof: false });
        }
        Ok(())
    }

    fn leave_level(&mut self) {
        self.depth -= 1;
    }

    fn function(&mut self) -> &mut FunctionScope {
        self.functions.last_mut().expect("a function is being parsed")
    }

    fn declare_locals(&mut self, count: usize) -> Parsed<()> {
        let function = self.function();
        function.locals += count;
        if function.locals <= MAX_LOCALS {
            return Ok(());
        }
        let line = function.line;
        let message = too_many("local variables", MAX_LOCALS, line);
        Err(self.error(&message))
    }

    fn new_local(&mut self) -> Parsed<Name<'s>> {
        let name = self.name()?;
        self.declare_locals(1)?;
        Ok(name)
    }

    /// Runs `parse`; variables declared in it go out of scope afterwards.
    fn scoped<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let locals = self.function().locals;
        let result = parse(self)?;
        self.function().locals = locals;
        Ok(result)
    }

    // ---- statements ----

    fn block(&mut self) -> Parsed<Block<'s>> {
        self.scoped(Self::statements)
    }

    fn at_block_end(&self) -> bool {
        self.at(&Token::Until) || self.at_block_end_or_until_excluded()
    }

    /// Whether no statement follows, where `until` does not count: its condition still sees the
    /// block's variables.
    fn at_block_end_or_until_excluded(&self) -> bool {
        matches!(self.current.token, Token::Else | Token::ElseIf | Token::End | Token::Eof)
    }

    fn statements(&mut self) -> Parsed<Block<'s>> {
        let mut stats = Vec::new();
        while !self.at_block_end() {
            let is_return = self.at(&Token::Return);
            self.statement(&mut stats)?;
            if is_return {
                break;
            }
        }
        Ok(Block { stats, last_line: self.last_line })
    }

    /// Parses one statement and adds it to `stats`; an empty one adds nothing, a run of labels is
    /// parsed at once.
    fn statement(&mut self, stats: &mut Vec<Stat<'s>>) -> Parsed<()> {
        self.enter_level()?;
        let line = self.current.line;
        let kind = match self.current.token {
            Token::Semicolon => {
                self.advance()?;
                None
            }
            Token::DoubleColon => {
                self.labels(stats)?;
                None
            }
            Token::If => Some(self.if_statement(line)?),
            Token::While => Some(self.while_statement(line)?),
            Token::Do => {
                self.advance()?;
                let body = self.block()?;
                self.expect_match(&Token::End, &Token::Do, line)?;
                Some(StatKind::Do(body))
            }
            Token::For => Some(self.for_statement(line)?),
            Token::Repeat => Some(self.repeat_statement(line)?),
            Token::Function => Some(self.function_statement(line)?),
            Token::Local => {
                self.advance()?;
                Some(if self.accept(&Token::Function)? {
                    self.local_function()?
                } else {
                    self.local_statement()?
                })
            }
            Token::Return => Some(self.return_statement()?),
            Token::Break => {
                self.advance()?;
                Some(StatKind::Break)
            }
            Token::Goto => {
                self.advance()?;
                Some(StatKind::Goto(self.name()?))
            }
            _ => Some(self.expression_statement()?),
        };
        stats.extend(kind.map(|kind| Stat { line, kind }));
        self.leave_level();
        Ok(())
    }

    /// A label with all labels and semicolons after it, because a label at the end of a block has a
    /// rule of its own.
    fn labels(&mut self, stats: &mut Vec<Stat<'s>>) -> Parsed<()> {
        let mut labels = Vec::new();
        loop {
            if self.accept(&Token::DoubleColon)? {
                labels.push(self.name()?);
                self.expect(&Token::DoubleColon)?;
            } else if !self.accept(&Token::Semicolon)? {
                break;
            }
        }
        let (is_last, next_line) = (self.at_block_end_or_until_excluded(), self.current.line);
        // C Lua defines the last one first; so do we, for the same messages.
        stats.extend(labels.into_iter().rev().map(|name| Stat {
            line: name.line,
            kind: StatKind::Label { name, is_last, next_line },
        }));
        Ok(())
    }

    fn if_statement(&mut self, line: u32) -> Parsed<StatKind<'s>> {
        let mut arms = Vec::new();
        let mut otherwise = None;
        loop {
            // `if` or `elseif`
            self.advance()?;
            let condition = self.expression()?;
            self.expect(&Token::Then)?;
            arms.push((condition, self.block()?));
            if !self.at(&Token::ElseIf) {
                break;
            }
        }
        if self.accept(&Token::Else)? {
            otherwise = Some(self.block()?);
        }
        self.expect_match(&Token::End, &Token::If, line)?;
        Ok(StatKind::If { arms, otherwise })
    }

    fn while_statement(&mut self, line: u32) -> Parsed<StatKind<'s>> {
        self.advance()?;
        let condition = self.expression()?;
        self.expect(&Token::Do)?;
        let body = self.block()?;
        self.expect_match(&Token::End, &Token::While, line)?;
        let end_line = self.last_line;
        Ok(StatKind::While { condition, body, end_line })
    }

    fn repeat_statement(&mut self, line: u32) -> Parsed<StatKind<'s>> {
        self.advance()?;
        self.scoped(|parser| {
            let body = parser.statements()?;
            parser.expect_match(&Token::Until, &Token::Repeat, line)?;
            let condition = parser.expression()?;
            Ok(StatKind::Repeat { body, condition })
        })
    }

    fn for_statement(&mut self, line: u32) -> Parsed<StatKind<'s>> {
        self.advance()?;
        let first = self.name()?;
        self.scoped(|parser| match parser.current.token {
            Token::Assign => parser.numeric_for(first, line),
            Token::Comma | Token::In => parser.generic_for(first, line),
            _ => Err(parser.error("'=' or 'in' expected")),
        })
    }

    fn numeric_for(&mut self, variable: Name<'s>, line: u32) -> Parsed<StatKind<'s>> {
        // Three for the loop's hidden state.
        self.declare_locals(3 + 1)?;
        self.advance()?;
        let start = self.expression()?;
        self.expect(&Token::Comma)?;
        let limit = self.expression()?;
        let step = if self.accept(&Token::Comma)? { Some(self.expression()?) } else { None };
        let do_line = self.current.line;
        let body = self.for_body(line)?;
        let end_line = self.last_line;
        Ok(StatKind::NumericFor { variable, start, limit, step, do_line, body, end_line })
    }

    fn generic_for(&mut self, first: Name<'s>, line: u32) -> Parsed<StatKind<'s>> {
        // Four for the loop's hidden state.
        self.declare_locals(4 + 1)?;
        let mut names = vec![first];
        while self.accept(&Token::Comma)? {
            names.push(self.new_local()?);
        }
        self.expect(&Token::In)?;
        let values_line = self.current.line;
        let values = self.expression_list()?;
        let body = self.for_body(line)?;
        let end_line = self.last_line;
        Ok(StatKind::GenericFor { names, values, values_line, body, end_line })
    }

    fn for_body(&mut self, line: u32) -> Parsed<Block<'s>> {
        self.expect(&Token::Do)?;
        let body = self.block()?;
        self.expect_match(&Token::End, &Token::For, line)?;
        Ok(body)
    }

    fn function_statement(&mut self, line: u32) -> Parsed<StatKind<'s>> {
        self.advance()?;
        let name = self.name()?;
        let base = self.expr(name.line, ExprKind::Name(name));
        let mut suffixes = Vec::new();
        let mut is_method = false;
        while !is_method && (self.at(&Token::Dot) || self.at(&Token::Colon)) {
            is_method = self.advance()? == Token::Colon;
            suffixes.push(Suffix::Field(self.name()?));
        }
        let place = self.suffixed(base, suffixes);
        let next_line = self.current.line;
        let self_param = is_method.then_some(Name {
            text: b"self",
            line: self.last_line,
            end: self.last_end as u32,
        });
        let function = self.function_body(self_param, line)?;
        Ok(StatKind::Function { target: Target { place, next_line }, function })
    }

    fn local_function(&mut self) -> Parsed<StatKind<'s>> {
        let name = self.new_local()?;
        let function = self.function_body(None, self.current.line)?;
        Ok(StatKind::LocalFunction { name, function })
    }

    fn local_statement(&mut self) -> Parsed<StatKind<'s>> {
        let mut names = Vec::<LocalName<'s>>::new();
        loop {
            let name = self.new_local()?;
            let attribute = self.attribute()?;
            if attribute == Attribute::Close
                && names.iter().any(|local| local.attribute == Attribute::Close)
            {
                let message = "multiple to-be-closed variables in local list";
                return Err(self.error_without_token(message));
            }
            names.push(LocalName { name, attribute });
            if !self.accept(&Token::Comma)? {
                break;
            }
        }
        let values =
            if self.accept(&Token::Assign)? { self.expression_list()? } else { Vec::new() };
        Ok(StatKind::Local { names, values })
    }

    fn attribute(&mut self) -> Parsed<Attribute> {
        if !self.accept(&Token::Less)? {
            return Ok(Attribute::None);
        }
        let name = self.name()?;
        self.expect(&Token::Greater)?;
        match name.text {
            b"const" => Ok(Attribute::Const),
            b"close" => Ok(Attribute::Close),
            other => {
                let other = String::from_utf8_lossy(other);
                Err(self.error_without_token(&format!("unknown attribute '{other}'")))
            }
        }
    }

    fn return_statement(&mut self) -> Parsed<StatKind<'s>> {
        self.advance()?;
        let is_empty = self.at_block_end() || self.at(&Token::Semicolon);
        let values = if is_empty { Vec::new() } else { self.expression_list()? };
        self.accept(&Token::Semicolon)?;
        Ok(StatKind::Return(values))
    }

    fn expression_statement(&mut self) -> Parsed<StatKind<'s>> {
        let first = self.suffixed_expression()?;
        if !self.at(&Token::Assign) && !self.at(&Token::Comma) {
            let is_call = match &first.kind {
                ExprKind::Suffixed { suffixes, .. } => {
                    matches!(suffixes.last(), Some(Suffix::Call { .. } | Suffix::Method { .. }))
                }
                _ => false,
            };
            return if is_call {
                Ok(StatKind::Call(first))
            } else {
                Err(self.error("syntax error"))
            };
        }
        let mut targets = vec![self.target(first)?];
        let depth = self.depth;
        while self.accept(&Token::Comma)? {
            let place = self.suffixed_expression()?;
            targets.push(self.target(place)?);
            // C Lua recurses for each.
            self.enter_level()?;
        }
        self.expect(&Token::Assign)?;
        let values = self.expression_list()?;
        self.depth = depth;
        Ok(StatKind::Assign { targets, values })
    }

    fn target(&self, place: Expr<'s>) -> Parsed<Target<'s>> {
        let is_place = match &place.kind {
            ExprKind::Name(_) => true,
            ExprKind::Suffixed { suffixes, .. } => {
                matches!(suffixes.last(), Some(Suffix::Field(_) | Suffix::Index { .. }))
            }
            _ => false,
        };
        if !is_place {
            return Err(self.error("syntax error"));
        }
        Ok(Target { place, next_line: self.current.line })
    }

    // ---- functions ----

    fn function_body(
        &mut self,
        self_param: Option<Name<'s>>,
        line: u32,
    ) -> Parsed<Box<Function<'s>>> {
        self.functions.push(FunctionScope { line, is_vararg: false, locals: 0 });
        self.expect(&Token::OpenParen)?;
        self.declare_locals(usize::from(self_param.is_some()))?;
        let mut params: Vec<_> = self_param.into_iter().collect();
        let mut is_vararg = false;
        if !self.at(&Token::CloseParen) {
            loop {
                match self.current.token {
                    Token::Name(_) => params.push(self.new_local()?),
                    Token::Ellipsis => {
                        self.advance()?;
                        is_vararg = true;
                    }
                    _ => return Err(self.error("<name> or '...' expected")),
                }
                if is_vararg || !self.accept(&Token::Comma)? {
                    break;
                }
            }
        }
        self.function().is_vararg = is_vararg;
        self.expect(&Token::CloseParen)?;
        let body = self.block()?;
        let last_line = self.current.line;
        self.expect_match(&Token::End, &Token::Function, line)?;
        self.functions.pop();
        let next_line = self.current.line;
        Ok(Box::new(Function { params, is_vararg, body, line, last_line, next_line }))
    }
}

/// The text of a limit error in the function defined at `line`, 0 for a main chunk.
pub(crate) fn too_many(what: &str, limit: usize, line: u32) -> String {
    let place = match line {
        0 => "main function".to_owned(),
        _ => format!("function at line {line}"),
    };
    format!("too many {what} (limit is {limit}) in {place}")
}
