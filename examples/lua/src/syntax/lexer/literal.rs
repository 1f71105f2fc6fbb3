//! Numerals, strings and long brackets.

use std::borrow::Cow;

use super::super::SyntaxError;
use super::{Lexer, Token};
use crate::number::{Number, is_space, parse_number};

impl<'s> Lexer<'s> {
    pub(super) fn number(&mut self) -> Result<Token<'s>, SyntaxError> {
        let start = self.position;
        let hex = self.accept(b'0') && self.accept_any(*b"xX");
        let exponent = if hex { *b"pP" } else { *b"eE" };
        loop {
            if self.accept_any(exponent) {
                self.accept_any(*b"+-");
            } else if self.peek().is_some_and(|b| b.is_ascii_hexdigit() || b == b'.') {
                self.position += 1;
            } else {
                break;
            }
        }
        // A letter right after a number belongs to it, and makes it malformed.
        if self.peek().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') {
            self.position += 1;
        }
        let text = &self.source[start..self.position];
        match parse_number(text) {
            Some(Number::Int(value)) => Ok(Token::Int(value)),
            Some(Number::Float(value)) => Ok(Token::Float(value)),
            None => Err(self.error("malformed number", text)),
        }
    }

    /// The number of `=` in a long bracket that opens here, if one does. Moves past it then.
    pub(super) fn long_bracket_level(&mut self) -> Option<usize> {
        let rest = &self.source[self.position + 1..];
        let level = rest.iter().take_while(|b| **b == b'=').count();
        if rest.get(level) != Some(&b'[') {
            return None;
        }
        self.position += level + 2;
        Some(level)
    }

    pub(super) fn long_string(&mut self) -> Result<Token<'s>, SyntaxError> {
        let start = self.position;
        if let Some(level) = self.long_bracket_level() {
            return self.long_bracket(level, "string").map(Token::Str);
        }
        let equals = self.source[start + 1..].iter().take_while(|b| **b == b'=').count();
        let near = &self.source[start..start + 1 + equals];
        Err(self.error("invalid long string delimiter", near))
    }

    /// The contents of a long bracket whose opening has been read.
    pub(super) fn long_bracket(
        &mut self,
        level: usize,
        what: &str,
    ) -> Result<Cow<'s, [u8]>, SyntaxError> {
        let first_line = self.line;
        if matches!(self.peek(), Some(b'\n' | b'\r')) {
            self.skip_newline();
        }
        let mut value = Cow::Borrowed(&self.source[self.position..self.position]);
        let mut piece_start = self.position;
        loop {
            let Some(byte) = self.peek() else {
                let message = format!("unfinished long {what} (starting at line {first_line})");
                return Err(self.error_at_end(&message));
            };
            match byte {
                b']' if self.closes(level) => {
                    let piece = &self.source[piece_start..self.position];
                    self.position += level + 2;
                    append(&mut value, piece);
                    return Ok(value);
                }
                b'\n' | b'\r' => {
                    let piece_end = self.position;
                    self.skip_newline();
                    // Every kind of line end counts as one `\n`; only other kinds need a copy.
                    if self.source[piece_end..self.position] != *b"\n" {
                        append(&mut value, &self.source[piece_start..piece_end]);
                        value.to_mut().push(b'\n');
                        piece_start = self.position;
                    }
                }
                _ => self.position += 1,
            }
        }
    }

    fn closes(&self, level: usize) -> bool {
        let rest = &self.source[self.position + 1..];
        rest.len() > level && rest[..level].iter().all(|b| *b == b'=') && rest[level] == b']'
    }

    pub(super) fn short_string(&mut self, quote: u8) -> Result<Token<'s>, SyntaxError> {
        self.position += 1;
        let start = self.position;
        let special = |b: &u8| *b == quote || matches!(b, b'\\' | b'\n' | b'\r');
        let rest = &self.source[start..];
        let plain = rest.iter().position(special).unwrap_or(rest.len());
        self.position += plain;
        if self.accept(quote) {
            return Ok(Token::Str(Cow::Borrowed(&rest[..plain])));
        }
        // The opening quote stays in front until the end, for messages.
        let mut buffer = vec![quote];
        buffer.extend_from_slice(&rest[..plain]);
        loop {
            match self.peek() {
                None => return Err(self.error_at_end("unfinished string")),
                Some(b'\n' | b'\r') => return Err(self.error("unfinished string", &buffer)),
                Some(b'\\') => self.escape(&mut buffer)?,
                Some(byte) => {
                    self.position += 1;
                    if byte == quote {
                        buffer.remove(0);
                        return Ok(Token::Str(Cow::Owned(buffer)));
                    }
                    buffer.push(byte);
                }
            }
        }
    }

    fn escape(&mut self, buffer: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let start = self.position;
        self.position += 1;
        let Some(byte) = self.peek() else { return Ok(()) };
        let value = match byte {
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'\\' | b'"' | b'\'' => byte,
            b'\n' | b'\r' => {
                self.skip_newline();
                buffer.push(b'\n');
                return Ok(());
            }
            b'x' => return self.hex_escape(start, buffer),
            b'u' => return self.utf8_escape(start, buffer),
            b'z' => {
                self.position += 1;
                while let Some(blank) = self.peek().filter(|b| is_space(*b)) {
                    match blank {
                        b'\n' | b'\r' => self.skip_newline(),
                        _ => self.position += 1,
                    }
                }
                return Ok(());
            }
            b'0'..=b'9' => return self.decimal_escape(start, buffer),
            _ => return Err(self.escape_error("invalid escape sequence", start, buffer)),
        };
        self.position += 1;
        buffer.push(value);
        Ok(())
    }

    /// An error inside an escape sequence; the message shows the byte here too, if there is one.
    fn escape_error(&self, message: &str, start: usize, buffer: &[u8]) -> SyntaxError {
        let end = (self.position + 1).min(self.source.len());
        self.error(message, &[buffer, &self.source[start..end]].concat())
    }

    fn hex_digit(&mut self, start: usize, buffer: &[u8]) -> Result<u32, SyntaxError> {
        let digit = self.peek().and_then(|b| char::from(b).to_digit(16));
        let digit =
            digit.ok_or_else(|| self.escape_error("hexadecimal digit expected", start, buffer))?;
        self.position += 1;
        Ok(digit)
    }

    fn hex_escape(&mut self, start: usize, buffer: &mut Vec<u8>) -> Result<(), SyntaxError> {
        self.position += 1;
        let high = self.hex_digit(start, buffer)?;
        let low = self.hex_digit(start, buffer)?;
        buffer.push((high << 4 | low) as u8);
        Ok(())
    }

    fn decimal_escape(&mut self, start: usize, buffer: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let mut value = 0u32;
        for _ in 0..3 {
            let Some(digit) = self.peek().filter(u8::is_ascii_digit) else { break };
            value = value * 10 + u32::from(digit - b'0');
            self.position += 1;
        }
        let value = u8::try_from(value)
            .map_err(|_| self.escape_error("decimal escape too large", start, buffer))?;
        buffer.push(value);
        Ok(())
    }

    fn utf8_escape(&mut self, start: usize, buffer: &mut Vec<u8>) -> Result<(), SyntaxError> {
        self.position += 1;
        if self.peek() != Some(b'{') {
            return Err(self.escape_error("missing '{'", start, buffer));
        }
        self.position += 1;
        let mut value = self.hex_digit(start, buffer)?;
        while self.peek().is_some_and(|b| b.is_ascii_hexdigit()) {
            if value > u32::MAX >> 5 {
                return Err(self.escape_error("UTF-8 value too large", start, buffer));
            }
            value = value << 4 | self.hex_digit(start, buffer)?;
        }
        if self.peek() != Some(b'}') {
            return Err(self.escape_error("missing '}'", start, buffer));
        }
        self.position += 1;
        encode_utf8(value, buffer);
        Ok(())
    }
}

fn append<'s>(value: &mut Cow<'s, [u8]>, piece: &'s [u8]) {
    if value.is_empty() {
        *value = Cow::Borrowed(piece);
    } else {
        value.to_mut().extend_from_slice(piece);
    }
}

/// Appends `value`, below 2^31, in the original UTF-8 scheme of up to six bytes.
pub fn encode_utf8(value: u32, buffer: &mut Vec<u8>) {
    if value < 0x80 {
        buffer.push(value as u8);
        return;
    }
    // Six bits go to each continuation byte; the first byte has room for `6 - continuations` bits.
    let continuations = (1..5).find(|n| value >> (5 * n + 6) == 0).unwrap_or(5);
    let marker = 0xff00u32 >> (continuations + 1);
    buffer.push((marker | value >> (6 * continuations)) as u8);
    for index in (0..continuations).rev() {
        buffer.push((0x80 | value >> (6 * index) & 0x3f) as u8);
    }
}
