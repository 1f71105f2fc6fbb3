//! From source bytes to a syntax tree.
//!
//! [`parser::parse`] drives [`lexer::Lexer`] and builds the tree of [`ast`]; only the compiler
//! calls it. Names are not resolved here: scopes, gotos and constants are the compiler's business,
//! with the exception of limits whose message shows the token that follows.
//!
//! # Invariants
//! * Lua source is bytes, not text: strings keep every byte, names are ASCII.
//! * SY2: The tree is at most [`MAX_DEPTH`] levels deep. What a loop parses (operator chains of
//!   any length, calls on calls, `elseif`) is kept flat in a vector, so that compiling and dropping
//!   the tree cannot overflow the native stack either.
//! * Messages read as those of PUC-Rio Lua 5.4: position, text, and the offending token.

pub mod ast;
pub mod lexer;
pub mod parser;

use std::fmt::Write as _;

use crate::thread::MAX_NESTING;

/// Nested statements and expressions that a chunk may have at most. Fewer where calls nest already:
/// real Lua counts both together, see [`MAX_NESTING`].
pub const MAX_DEPTH: usize = MAX_NESTING as usize;

/// Longest readable chunk name, as in C Lua (`LUA_IDSIZE` without the terminator).
const MAX_CHUNK_ID: usize = 59;

/// Why a chunk does not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// The complete text, `chunk:line: message near 'token'`.
    pub message: String,
    /// Whether the source ended too early: a prompt may ask for another line.
    pub at_eof: bool,
}

impl SyntaxError {
    /// An error at `line` of the chunk called `chunk_name`, not tied to a token.
    pub(crate) fn new(chunk_name: &str, line: u32, message: &str) -> Self {
        let message = format!("{}:{line}: {message}", chunk_id(chunk_name));
        SyntaxError { message, at_eof: false }
    }

    /// The same error with `near <token>` added.
    pub(crate) fn near(mut self, token: &str) -> Self {
        write!(self.message, " near {token}").expect("writing to a string does not fail");
        self.at_eof = token == lexer::END_OF_INPUT;
        self
    }
}

/// The readable form of a chunk's name: `@file` names a file, `=name` is taken as it is, anything
/// else is source text and is shown as `[string "first line..."]`.
pub fn chunk_id(chunk_name: &str) -> String {
    match chunk_name.as_bytes().first() {
        Some(b'=') => prefix(&chunk_name[1..], MAX_CHUNK_ID).to_owned(),
        Some(b'@') if chunk_name.len() - 1 <= MAX_CHUNK_ID => chunk_name[1..].to_owned(),
        Some(b'@') => {
            let name = &chunk_name[1..];
            let mut start = name.len() - (MAX_CHUNK_ID - "...".len());
            while !name.is_char_boundary(start) {
                start += 1;
            }
            format!("...{}", &name[start..])
        }
        _ => {
            let (open, dots, close) = ("[string \"", "...", "\"]");
            let first_line = chunk_name.split('\n').next().unwrap_or_default();
            let room = MAX_CHUNK_ID - open.len() - dots.len() - close.len();
            if first_line.len() == chunk_name.len() && chunk_name.len() < room {
                return format!("{open}{chunk_name}{close}");
            }
            format!("{open}{}{dots}{close}", prefix(first_line, room))
        }
    }
}

fn prefix(text: &str, mut end: usize) -> &str {
    if text.len() <= end {
        return text;
    }
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::chunk_id;

    #[test]
    fn chunk_names_read_as_in_c_lua() {
        let dirs = "dir/".repeat(30);
        let cases = [
            ("@file.lua", "file.lua".to_owned()),
            ("=stdin", "stdin".to_owned()),
            ("x = = 1", "[string \"x = = 1\"]".to_owned()),
            ("x = = 1\nabc", "[string \"x = = 1...\"]".to_owned()),
            ("\nx", "[string \"...\"]".to_owned()),
            ("", "[string \"\"]".to_owned()),
            (
                &format!("x = = 1 {}", "a".repeat(100)),
                format!("[string \"x = = 1 {}...\"]", "a".repeat(37)),
            ),
            (&format!("@{dirs}file.lua"), format!("...{}file.lua", "dir/".repeat(12))),
            (&format!("={dirs}file.lua"), format!("{}dir", "dir/".repeat(14))),
        ];
        for (name, readable) in cases {
            assert_eq!(chunk_id(name), readable);
        }
    }
}
