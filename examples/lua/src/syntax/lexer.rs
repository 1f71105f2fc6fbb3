//! The lexer: bytes to tokens.
//!
//! Owned by the parser; the compiler uses it once more to name the token at an offset in an error
//! message.
//!
//! # Invariants
//! * A [`Lexeme`]'s `line` is the line on which the token *ends*, as C Lua counts: `\n`,
//!   `\r`, `\r\n` and `\n\r` each end one line.
//! * After an error the lexer is not used again.

mod literal;
mod token;

pub use self::literal::encode_utf8;
pub use self::token::Token;

use super::SyntaxError;
use crate::number::is_space;

/// How messages name the end of the source.
pub(crate) const END_OF_INPUT: &str = "<eof>";

/// A token with its place in the source.
#[derive(Clone, Debug)]
pub struct Lexeme<'s> {
    /// What it is.
    pub token: Token<'s>,
    /// The line it ends on.
    pub line: u32,
    /// Byte offset of its first byte.
    pub start: usize,
    /// Byte offset after its last byte.
    pub end: usize,
}

/// Splits a source into tokens.
#[derive(Clone, Debug)]
pub struct Lexer<'s> {
    source: &'s [u8],
    chunk_name: &'s str,
    position: usize,
    line: u32,
}

impl<'s> Lexer<'s> {
    /// A lexer at the beginning of `source`.
    pub fn new(source: &'s [u8], chunk_name: &'s str) -> Self {
        Lexer { source, chunk_name, position: 0, line: 1 }
    }

    /// The next token; [`Token::Eof`] again and again at the end.
    ///
    /// # Errors
    /// A malformed number, string or comment.
    pub fn next_lexeme(&mut self) -> Result<Lexeme<'s>, SyntaxError> {
        self.skip_blanks()?;
        let start = self.position;
        let token = self.scan()?;
        Ok(Lexeme { token, line: self.line, start, end: self.position })
    }

    /// How a message shows the given token of this source.
    pub(crate) fn show(&self, lexeme: &Lexeme<'_>) -> String {
        let text = &self.source[lexeme.start..lexeme.end];
        match &lexeme.token {
            Token::Eof => END_OF_INPUT.to_owned(),
            Token::Unknown(byte) if !matches!(byte, b' '..=b'~') => format!("'<\\{byte}>'"),
            Token::Str(value) if text[0] != b'[' => {
                quote(&[&text[..1], value.as_ref(), &text[..1]].concat())
            }
            _ => quote(text),
        }
    }

    fn error(&self, message: &str, near: &[u8]) -> SyntaxError {
        SyntaxError::new(self.chunk_name, self.line, message).near(&quote(near))
    }

    fn error_at_end(&self, message: &str) -> SyntaxError {
        SyntaxError::new(self.chunk_name, self.line, message).near(END_OF_INPUT)
    }

    fn peek(&self) -> Option<u8> {
        self.source.get(self.position).copied()
    }

    fn peek_second(&self) -> Option<u8> {
        self.source.get(self.position + 1).copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    fn accept_any(&mut self, bytes: [u8; 2]) -> bool {
        self.accept(bytes[0]) || self.accept(bytes[1])
    }

    /// Skips one line end, which may be two bytes.
    fn skip_newline(&mut self) {
        let first = self.source[self.position];
        self.position += 1;
        if let Some(second @ (b'\n' | b'\r')) = self.peek()
            && second != first
        {
            self.position += 1;
        }
        self.line += 1;
    }

    fn skip_blanks(&mut self) -> Result<(), SyntaxError> {
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' | b'\r' => self.skip_newline(),
                b'-' if self.peek_second() == Some(b'-') => {
                    self.position += 2;
                    self.skip_comment()?;
                }
                _ if is_space(byte) => self.position += 1,
                _ => break,
            }
        }
        Ok(())
    }

    fn skip_comment(&mut self) -> Result<(), SyntaxError> {
        if self.peek() == Some(b'[')
            && let Some(level) = self.long_bracket_level()
        {
            self.long_bracket(level, "comment")?;
            return Ok(());
        }
        let rest = &self.source[self.position..];
        let length = rest.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(rest.len());
        self.position += length;
        Ok(())
    }

    fn scan(&mut self) -> Result<Token<'s>, SyntaxError> {
        let Some(byte) = self.peek() else { return Ok(Token::Eof) };
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => return Ok(self.word()),
            b'0'..=b'9' => return self.number(),
            b'"' | b'\'' => return self.short_string(byte),
            b'.' if self.peek_second().is_some_and(|b| b.is_ascii_digit()) => return self.number(),
            b'[' if matches!(self.peek_second(), Some(b'[' | b'=')) => return self.long_string(),
            _ => {}
        }
        self.position += 1;
        Ok(match byte {
            b'+' => Token::Plus,
            b'-' => Token::Minus,
            b'*' => Token::Star,
            b'/' => self.either(b'/', Token::DoubleSlash, Token::Slash),
            b'%' => Token::Percent,
            b'^' => Token::Caret,
            b'#' => Token::Hash,
            b'&' => Token::Ampersand,
            b'~' => self.either(b'=', Token::NotEqual, Token::Tilde),
            b'|' => Token::Pipe,
            b'<' if self.accept(b'<') => Token::ShiftLeft,
            b'<' => self.either(b'=', Token::LessEqual, Token::Less),
            b'>' if self.accept(b'>') => Token::ShiftRight,
            b'>' => self.either(b'=', Token::GreaterEqual, Token::Greater),
            b'=' => self.either(b'=', Token::Equal, Token::Assign),
            b'.' if self.accept(b'.') => self.either(b'.', Token::Ellipsis, Token::Concat),
            b'.' => Token::Dot,
            b',' => Token::Comma,
            b';' => Token::Semicolon,
            b':' => self.either(b':', Token::DoubleColon, Token::Colon),
            b'(' => Token::OpenParen,
            b')' => Token::CloseParen,
            b'[' => Token::OpenBracket,
            b']' => Token::CloseBracket,
            b'{' => Token::OpenBrace,
            b'}' => Token::CloseBrace,
            _ => Token::Unknown(byte),
        })
    }

    fn either(&mut self, next: u8, longer: Token<'s>, shorter: Token<'s>) -> Token<'s> {
        if self.accept(next) { longer } else { shorter }
    }

    fn word(&mut self) -> Token<'s> {
        let rest = &self.source[self.position..];
        let is_part = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
        let length = rest.iter().position(|b| !is_part(b)).unwrap_or(rest.len());
        self.position += length;
        match &rest[..length] {
            b"and" => Token::And,
            b"break" => Token::Break,
            b"do" => Token::Do,
            b"else" => Token::Else,
            b"elseif" => Token::ElseIf,
            b"end" => Token::End,
            b"false" => Token::False,
            b"for" => Token::For,
            b"function" => Token::Function,
            b"goto" => Token::Goto,
            b"if" => Token::If,
            b"in" => Token::In,
            b"local" => Token::Local,
            b"nil" => Token::Nil,
            b"not" => Token::Not,
            b"or" => Token::Or,
            b"repeat" => Token::Repeat,
            b"return" => Token::Return,
            b"then" => Token::Then,
            b"true" => Token::True,
            b"until" => Token::Until,
            b"while" => Token::While,
            name => Token::Name(name),
        }
    }
}

/// Puts a token's text between quotes. Like C, which prints up to a zero byte.
fn quote(text: &[u8]) -> String {
    let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
    format!("'{}'", String::from_utf8_lossy(&text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(source: &str) -> Vec<Token<'_>> {
        let mut lexer = Lexer::new(source.as_bytes(), "=input");
        let mut tokens = Vec::new();
        loop {
            match lexer.next_lexeme().unwrap().token {
                Token::Eof => return tokens,
                token => tokens.push(token),
            }
        }
    }

    fn string(source: &[u8]) -> Vec<u8> {
        match Lexer::new(source, "=input").next_lexeme().unwrap().token {
            Token::Str(value) => value.into_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn longest_operator_wins() {
        use Token::*;
        assert_eq!(
            tokens("a<<b<=c<d>>e>=f>g==h=i~=j~k//l/m...n..o.p::q:r"),
            [
                Name(b"a"),
                ShiftLeft,
                Name(b"b"),
                LessEqual,
                Name(b"c"),
                Less,
                Name(b"d"),
                ShiftRight,
                Name(b"e"),
                GreaterEqual,
                Name(b"f"),
                Greater,
                Name(b"g"),
                Equal,
                Name(b"h"),
                Assign,
                Name(b"i"),
                NotEqual,
                Name(b"j"),
                Tilde,
                Name(b"k"),
                DoubleSlash,
                Name(b"l"),
                Slash,
                Name(b"m"),
                Ellipsis,
                Name(b"n"),
                Concat,
                Name(b"o"),
                Dot,
                Name(b"p"),
                DoubleColon,
                Name(b"q"),
                Colon,
                Name(b"r"),
            ]
        );
    }

    #[test]
    fn numerals_become_integers_or_floats() {
        use Token::*;
        assert_eq!(
            tokens("3 0xff 0xA.8p0 1e2 .5 3. 9223372036854775808 0x7fffffffffffffff1"),
            [
                Int(3),
                Int(255),
                Float(10.5),
                Float(100.0),
                Float(0.5),
                Float(3.0),
                Float(9223372036854775808.0),
                Int(-15),
            ]
        );
    }

    #[test]
    fn strings_keep_their_bytes() {
        assert_eq!(string(b"'plain'"), b"plain");
        assert_eq!(string(b"'\\a\\b\\f\\n\\r\\t\\v\\\\\\'\\\"'"), b"\x07\x08\x0c\n\r\t\x0b\\'\"");
        assert_eq!(string(b"'\\65\\0661\\x7a\\xFF\xfe'"), b"AB1z\xff\xfe");
        assert_eq!(string(b"'a\\z \n\t b'"), b"ab");
        assert_eq!(string(b"'a\\\r\nb\\\nc'"), b"a\nb\nc");
        assert_eq!(string("'\\u{48}\\u{e9}\\u{20AC}\\u{1F600}'".as_bytes()), "Hé€😀".as_bytes());
        assert_eq!(string(b"'\\u{7FFFFFFF}'"), b"\xfd\xbf\xbf\xbf\xbf\xbf");
        assert_eq!(
            string(b"'\\u{200000}\\u{4000000}'"),
            b"\xf8\x88\x80\x80\x80\xfc\x84\x80\x80\x80\x80"
        );
        assert_eq!(string(b"[[\r\na\r\nb]=]\n]]"), b"a\nb]=]\n");
        assert_eq!(string(b"[==[x]]]=]y]==]"), b"x]]]=]y");
        assert_eq!(string(b"[[\n\r\r\nab]]"), b"\nab");
    }

    #[test]
    fn comments_and_line_ends_are_counted() {
        let source = b"--[==[ x\n]]\n]==] a -- b\r\nc\n\r--[ d\ne";
        let mut lexer = Lexer::new(source, "=input");
        let mut lines = Vec::new();
        loop {
            let lexeme = lexer.next_lexeme().unwrap();
            lines.push(lexeme.line);
            if lexeme.token == Token::Eof {
                break;
            }
        }
        assert_eq!(lines, [3, 4, 6, 6]);
    }
}
