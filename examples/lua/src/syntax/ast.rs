//! The syntax tree.
//!
//! Built by [`super::parser`], consumed by the compiler. It borrows names and plain strings from the
//! source. Lines are those that run-time errors should report.
//!
//! # Invariants
//! * Depth is bounded by [`super::MAX_DEPTH`]: chains are vectors ([`ExprKind::Chain`],
//!   [`ExprKind::Concat`], [`ExprKind::Suffixed`], [`StatKind::If`]), never spines.

use std::borrow::Cow;

/// A name as written in the source.
#[derive(Clone, Copy, Debug)]
pub struct Name<'s> {
    /// Its bytes.
    pub text: &'s [u8],
    /// Its line.
    pub line: u32,
    /// Byte offset of what follows it, for messages.
    pub end: u32,
}

/// Statements that share a scope.
#[derive(Debug)]
pub struct Block<'s> {
    /// In source order; a `Return` can only be the last.
    pub stats: Vec<Stat<'s>>,
    /// Line of its last token, or of the one before an empty block.
    pub last_line: u32,
}

/// A statement.
#[derive(Debug)]
pub struct Stat<'s> {
    /// The line it starts on.
    pub line: u32,
    /// What it does.
    pub kind: StatKind<'s>,
}

/// The statements.
#[derive(Debug)]
pub enum StatKind<'s> {
    /// A call for its effects.
    Call(Expr<'s>),
    /// `local names = values`
    Local {
        /// the new variables
        names: Vec<LocalName<'s>>,
        /// their values, evaluated before the names are in scope
        values: Vec<Expr<'s>>,
    },
    /// `targets = values`
    Assign {
        /// at least one
        targets: Vec<Target<'s>>,
        /// at least one
        values: Vec<Expr<'s>>,
    },
    /// `local function name ... end`
    LocalFunction {
        /// in scope within the function
        name: Name<'s>,
        /// the function
        function: Box<Function<'s>>,
    },
    /// `function target ... end`
    Function {
        /// a name, or fields of one
        target: Target<'s>,
        /// the function, with `self` among its parameters for a method
        function: Box<Function<'s>>,
    },
    /// `if ... elseif ... else ... end`
    If {
        /// conditions and their blocks
        arms: Vec<(Expr<'s>, Block<'s>)>,
        /// the `else` block
        otherwise: Option<Block<'s>>,
    },
    /// `while condition do body end`
    While {
        /// tested before each turn
        condition: Expr<'s>,
        /// the loop's body
        body: Block<'s>,
        /// line of `end`
        end_line: u32,
    },
    /// `repeat body until condition`
    Repeat {
        /// the loop's body
        body: Block<'s>,
        /// tested after each turn, in the scope of the body
        condition: Expr<'s>,
    },
    /// `for variable = start, limit, step do body end`
    NumericFor {
        /// the loop variable
        variable: Name<'s>,
        /// its first value
        start: Expr<'s>,
        /// its last value
        limit: Expr<'s>,
        /// 1 if absent
        step: Option<Expr<'s>>,
        /// line of `do`, where the values are checked
        do_line: u32,
        /// the loop's body
        body: Block<'s>,
        /// line of `end`
        end_line: u32,
    },
    /// `for names in values do body end`
    GenericFor {
        /// at least one
        names: Vec<Name<'s>>,
        /// iterator, state, control and closing value
        values: Vec<Expr<'s>>,
        /// line on which they begin, that of the iterator's calls
        values_line: u32,
        /// the loop's body
        body: Block<'s>,
        /// line of `end`
        end_line: u32,
    },
    /// `do body end`
    Do(Block<'s>),
    /// `goto label`
    Goto(Name<'s>),
    /// `break`
    Break,
    /// `::label::`
    Label {
        /// the label
        name: Name<'s>,
        /// only labels and semicolons follow it in its block
        is_last: bool,
        /// line of the next statement that does something, or of the block's end
        next_line: u32,
    },
    /// `return values`
    Return(Vec<Expr<'s>>),
}

/// Attribute of a local variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// an ordinary variable
    None,
    /// `<const>`
    Const,
    /// `<close>`
    Close,
}

/// A variable in a `local` statement.
#[derive(Debug)]
pub struct LocalName<'s> {
    /// Its name.
    pub name: Name<'s>,
    /// Its attribute.
    pub attribute: Attribute,
}

/// A place that can be assigned to: a name, or an index as the last suffix.
#[derive(Debug)]
pub struct Target<'s> {
    /// The place.
    pub place: Expr<'s>,
    /// Line of the token after it, where C Lua reports assignments to constants.
    pub next_line: u32,
}

/// An expression.
#[derive(Debug)]
pub struct Expr<'s> {
    /// Its line; that of the token before for `...` and for a table, which C Lua makes before it reads on.
    pub line: u32,
    /// Byte offset after its last token.
    pub end: u32,
    /// Line of its last token.
    pub end_line: u32,
    /// Line of the token that follows.
    pub next_line: u32,
    /// What it computes.
    pub kind: ExprKind<'s>,
}

/// The expressions.
#[derive(Debug)]
pub enum ExprKind<'s> {
    /// `nil`
    Nil,
    /// `true`
    True,
    /// `false`
    False,
    /// an integer literal
    Int(i64),
    /// a float literal
    Float(f64),
    /// a string literal
    Str(Cow<'s, [u8]>),
    /// `...`
    Vararg,
    /// `function ... end`
    Function(Box<Function<'s>>),
    /// a variable
    Name(Name<'s>),
    /// `(inner)`: exactly one value
    Paren(Box<Expr<'s>>),
    /// `base` followed by indexing and calls
    Suffixed {
        /// a name or a parenthesised expression
        base: Box<Expr<'s>>,
        /// at least one, applied from left to right
        suffixes: Vec<Suffix<'s>>,
    },
    /// `{ ... }`
    Table {
        /// byte offset of the `{`
        open: u32,
        /// what is between the braces
        items: Vec<TableItem<'s>>,
    },
    /// an operator with one operand
    Unary {
        /// the operator
        op: UnaryOp,
        /// its operand
        operand: Box<Expr<'s>>,
    },
    /// `(((first op1 e1) op2 e2) ...)`: a run of binary operators that nest to the left
    Chain {
        /// the leftmost operand
        first: Box<Expr<'s>>,
        /// at least one
        rest: Vec<ChainLink<'s>>,
    },
    /// `parts[0] .. parts[1] .. ...`, at least two
    Concat(Vec<Expr<'s>>),
}

/// One operator of a chain and its right operand.
#[derive(Debug)]
pub struct ChainLink<'s> {
    /// The operator.
    pub op: BinaryOp,
    /// The operator's line.
    pub line: u32,
    /// The right operand.
    pub operand: Expr<'s>,
}

/// What can follow a prefix expression.
#[derive(Debug)]
pub enum Suffix<'s> {
    /// `.name`
    Field(Name<'s>),
    /// `[key]`
    Index {
        /// the key
        key: Expr<'s>,
        /// line of the `]`
        line: u32,
    },
    /// `(arguments)`; `line` is where the call is reported
    Call {
        /// the arguments
        arguments: Vec<Expr<'s>>,
        /// line of the call
        line: u32,
        /// byte offset after its last token
        end: u32,
    },
    /// `:name(arguments)`
    Method {
        /// the method
        name: Name<'s>,
        /// the arguments without the object
        arguments: Vec<Expr<'s>>,
        /// line of the call
        line: u32,
        /// byte offset after its last token
        end: u32,
    },
}

/// An entry of a table constructor.
#[derive(Debug)]
pub enum TableItem<'s> {
    /// `value`
    Positional(Expr<'s>),
    /// `name = value`
    Named(Name<'s>, Expr<'s>),
    /// `[key] = value`
    Keyed(Expr<'s>, Expr<'s>),
}

/// A function's parameters and body.
#[derive(Debug)]
pub struct Function<'s> {
    /// Fixed parameters, `self` included.
    pub params: Vec<Name<'s>>,
    /// Whether the parameters end in `...`.
    pub is_vararg: bool,
    /// The body.
    pub body: Block<'s>,
    /// Line of `function`; 0 for a main chunk.
    pub line: u32,
    /// Line of `end`; of the end of the source for a main chunk.
    pub last_line: u32,
    /// Line of the token after `end`.
    pub next_line: u32,
}

/// Operators with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-`
    Minus,
    /// `~`
    BNot,
    /// `not`
    Not,
    /// `#`
    Len,
}

/// Operators with two operands, except concatenation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in the manual")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    IDiv,
    Mod,
    Pow,
    BAnd,
    BOr,
    BXor,
    Shl,
    Shr,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
}
