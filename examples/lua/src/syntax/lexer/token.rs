//! Tokens and their spelling.

use std::borrow::Cow;

use super::END_OF_INPUT;

/// A token. Keywords and operators go by their own names.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the spelling of each fixed token is listed in `spelling`")]
pub enum Token<'s> {
    Name(&'s [u8]),
    Str(Cow<'s, [u8]>),
    Int(i64),
    Float(f64),
    /// A byte that starts no token.
    Unknown(u8),
    Eof,
    And,
    Break,
    Do,
    Else,
    ElseIf,
    End,
    False,
    For,
    Function,
    Goto,
    If,
    In,
    Local,
    Nil,
    Not,
    Or,
    Repeat,
    Return,
    Then,
    True,
    Until,
    While,
    Plus,
    Minus,
    Star,
    Slash,
    DoubleSlash,
    Percent,
    Caret,
    Hash,
    Ampersand,
    Tilde,
    Pipe,
    ShiftLeft,
    ShiftRight,
    Concat,
    Ellipsis,
    Dot,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Assign,
    Comma,
    Semicolon,
    Colon,
    DoubleColon,
    OpenParen,
    CloseParen,
    OpenBracket,
    CloseBracket,
    OpenBrace,
    CloseBrace,
}

impl Token<'_> {
    /// The spelling of a token that has only one, or what stands for it in "... expected".
    pub(crate) fn spelling(&self) -> &'static str {
        use Token::*;
        match self {
            Name(_) => "<name>",
            Str(_) => "<string>",
            Int(_) => "<integer>",
            Float(_) => "<number>",
            Unknown(_) => "<symbol>",
            Eof => END_OF_INPUT,
            And => "and",
            Break => "break",
            Do => "do",
            Else => "else",
            ElseIf => "elseif",
            End => "end",
            False => "false",
            For => "for",
            Function => "function",
            Goto => "goto",
            If => "if",
            In => "in",
            Local => "local",
            Nil => "nil",
            Not => "not",
            Or => "or",
            Repeat => "repeat",
            Return => "return",
            Then => "then",
            True => "true",
            Until => "until",
            While => "while",
            Plus => "+",
            Minus => "-",
            Star => "*",
            Slash => "/",
            DoubleSlash => "//",
            Percent => "%",
            Caret => "^",
            Hash => "#",
            Ampersand => "&",
            Tilde => "~",
            Pipe => "|",
            ShiftLeft => "<<",
            ShiftRight => ">>",
            Concat => "..",
            Ellipsis => "...",
            Dot => ".",
            Equal => "==",
            NotEqual => "~=",
            Less => "<",
            LessEqual => "<=",
            Greater => ">",
            GreaterEqual => ">=",
            Assign => "=",
            Comma => ",",
            Semicolon => ";",
            Colon => ":",
            DoubleColon => "::",
            OpenParen => "(",
            CloseParen => ")",
            OpenBracket => "[",
            CloseBracket => "]",
            OpenBrace => "{",
            CloseBrace => "}",
        }
    }

    /// The token as "... expected" names it: `'='`, `<name>`.
    pub(crate) fn expected(&self) -> String {
        match self {
            Token::Name(_) | Token::Str(_) | Token::Int(_) | Token::Float(_) | Token::Eof => {
                self.spelling().to_owned()
            }
            _ => format!("'{}'", self.spelling()),
        }
    }
}
