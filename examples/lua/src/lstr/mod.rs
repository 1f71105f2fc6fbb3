//! The part of the `string` and `utf8` libraries that works on plain bytes and knows nothing about
//! values or the heap.
//!
//! [`pattern`], [`format`](mod@format) and [`pack`](mod@pack) each hold one small language of the
//! string library; this file holds the index arithmetic of `string.sub` and similar functions,
//! repetition, letter case, and the primitives of the `utf8` library.
//!
//! Offsets in this module count bytes from zero and ranges are half open; the
//! functions that take Lua positions, which count from one and may be negative, say so.

pub mod format;
pub mod pack;
pub mod pattern;

use std::ops::Range;

/// There is no room for more bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// They would be more than the interpreter's host allows.
    Limit,
    /// The system has no memory.
    System,
}

/// A destination for bytes whose number the script chooses.
pub trait Output {
    /// The bytes so far, which can take `additional` more without an allocation.
    ///
    /// # Errors
    /// If there is no room for that many; nothing has changed then.
    fn room(&mut self, additional: usize) -> Result<&mut Vec<u8>, NoRoom>;

    /// Appends `bytes`.
    ///
    /// # Errors
    /// As [`Output::room`].
    fn append(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        self.room(bytes.len())?.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
impl Output for Vec<u8> {
    fn room(&mut self, additional: usize) -> Result<&mut Vec<u8>, NoRoom> {
        self.reserve(additional);
        Ok(self)
    }
}

/// Why a string or `utf8` function failed; the texts are those of Lua 5.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StringError {
    /// A result longer than any string can be.
    #[error("resulting string too large")]
    ResultTooLarge,
    /// The system has no memory for the result.
    #[error("not enough memory")]
    OutOfMemory,
    /// Bytes that are not UTF-8.
    #[error("invalid UTF-8 code")]
    InvalidUtf8,
    /// A code point outside what `utf8.char` encodes; about the argument being encoded.
    #[error("value out of range")]
    CodeOutOfRange,
    /// A position outside the string given to `utf8.codepoint`; about the argument with this
    /// number.
    #[error("out of bounds")]
    OutOfBounds(u8),
    /// More bytes given to `utf8.codepoint` than it may have results.
    #[error("stack overflow (string slice too long)")]
    SliceTooLong,
    /// A start outside the string given to `utf8.len`; about argument 2.
    #[error("initial position out of bounds")]
    InitialOutOfBounds,
    /// An end outside the string given to `utf8.len`; about argument 3.
    #[error("final position out of bounds")]
    FinalOutOfBounds,
    /// A position outside the string given to `utf8.offset`; about argument 3.
    #[error("position out of bounds")]
    PositionOutOfBounds,
    /// `utf8.offset` asked to count from the middle of a character.
    #[error("initial position is a continuation byte")]
    ContinuationByte,
}

impl StringError {
    /// The number of the argument that the reference implementation blames, if it blames one. For
    /// [`StringError::CodeOutOfRange`] that is the argument being encoded, which only the caller
    /// knows.
    pub fn argument(self) -> Option<u8> {
        match self {
            StringError::OutOfBounds(argument) => Some(argument),
            StringError::InitialOutOfBounds => Some(2),
            StringError::FinalOutOfBounds | StringError::PositionOutOfBounds => Some(3),
            _ => None,
        }
    }
}

/// The offset of the Lua position `position` where a range starts: negative positions count from
/// the end, and what lies before the string is its start. The result may lie beyond the end.
pub fn range_start(position: i64, length: usize) -> usize {
    match position {
        1.. => usize::try_from(position - 1).unwrap_or(usize::MAX),
        0 => 0,
        _ => length.saturating_sub(usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX)),
    }
}

/// The offset behind the Lua position `position` where a range ends: never beyond the end of the
/// string.
pub fn range_end(position: i64, length: usize) -> usize {
    match position {
        0.. => usize::try_from(position).unwrap_or(usize::MAX).min(length),
        // The last byte is position -1, so the end behind position -n is the length less n - 1.
        _ => (length + 1)
            .saturating_sub(usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX)),
    }
}

/// The bytes that `string.sub(s, i, j)` and `string.byte(s, i, j)` select from a string of `length`
/// bytes.
pub fn sub_range(length: usize, i: i64, j: i64) -> Range<usize> {
    let start = range_start(i, length);
    let end = range_end(j, length);
    if start < end { start..end } else { 0..0 }
}

/// `count` copies of `text` with `separator` between them.
///
/// # Errors
/// [`StringError::ResultTooLarge`] or [`StringError::OutOfMemory`].
pub fn repeat(text: &[u8], count: i64, separator: &[u8]) -> Result<Vec<u8>, StringError> {
    let mut out = Vec::new();
    let Some(copies) = usize::try_from(count).ok().filter(|&copies| copies > 0) else {
        return Ok(out);
    };
    let total = text
        .len()
        .checked_add(separator.len())
        .and_then(|period| period.checked_mul(copies))
        .filter(|&total| i64::try_from(total).is_ok())
        .ok_or(StringError::ResultTooLarge)?;
    let length = total - separator.len();
    out.try_reserve_exact(length).map_err(|_| StringError::OutOfMemory)?;
    out.extend_from_slice(text);
    if copies > 1 {
        out.extend_from_slice(separator);
    }
    // The result is periodic, so any prefix that ends on a period may be copied behind itself.
    while out.len() < length {
        let whole = out.len().min(length - out.len());
        out.extend_from_within(..whole);
    }
    Ok(out)
}

/// `text` with its ASCII letters in upper case.
pub fn upper(text: &[u8]) -> Vec<u8> {
    text.to_ascii_uppercase()
}

/// `text` with its ASCII letters in lower case.
pub fn lower(text: &[u8]) -> Vec<u8> {
    text.to_ascii_lowercase()
}

/// `text` back to front.
pub fn reverse(text: &[u8]) -> Vec<u8> {
    text.iter().rev().copied().collect()
}

/// The pattern `utf8.charpattern`: one byte sequence of UTF-8, assuming the subject is valid.
pub const UTF8_CHAR_PATTERN: &[u8] = b"[\0-\x7F\xC2-\xFD][\x80-\xBF]*";

/// The largest code that the original UTF-8 of up to six bytes can hold.
pub const MAX_UTF8_CODE: u32 = 0x7fff_ffff;

/// Most bytes in the encoding of one code.
pub const MAX_UTF8_LENGTH: usize = 6;

/// Which codes count as valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Utf8Mode {
    /// Unicode scalar values only.
    Strict,
    /// Everything up to [`MAX_UTF8_CODE`], surrogates included.
    Lax,
}

/// Whether the byte at an offset, if there is one, is not the first of a character.
#[must_use]
pub fn is_continuation(text: &[u8], offset: usize) -> bool {
    text.get(offset).is_some_and(|byte| byte & 0xc0 == 0x80)
}

/// Appends the encoding of `code`, as `utf8.char` does.
///
/// # Errors
/// [`StringError::CodeOutOfRange`] for codes outside 0 to [`MAX_UTF8_CODE`].
pub fn utf8_encode(out: &mut Vec<u8>, code: i64) -> Result<(), StringError> {
    let code = u32::try_from(code)
        .ok()
        .filter(|&code| code <= MAX_UTF8_CODE)
        .ok_or(StringError::CodeOutOfRange)?;
    if code < 0x80 {
        out.push(code as u8);
        return Ok(());
    }
    // With n continuation bytes the first byte has 6 - n bits to spare.
    let continuations =
        (1..6).find(|&n| code >> (6 * n) < 1 << (6 - n)).expect("31 bits fit into six bytes");
    let mark = !(0xffu8 >> (continuations + 1));
    out.push(mark | (code >> (6 * continuations)) as u8);
    for n in (0..continuations).rev() {
        out.push(0x80 | (code >> (6 * n) & 0x3f) as u8);
    }
    Ok(())
}

/// Decodes the sequence at the start of `text` and returns its code and its length, or nothing if
/// it is invalid.
pub fn utf8_decode(text: &[u8], mode: Utf8Mode) -> Option<(u32, usize)> {
    /// The smallest code that needs that many continuation bytes: anything less is an overlong
    /// encoding.
    const SMALLEST: [u32; 6] = [0, 0x80, 0x800, 0x1_0000, 0x20_0000, 0x400_0000];
    let first = *text.first()?;
    if first < 0x80 {
        return Some((u32::from(first), 1));
    }
    let length = first.leading_ones() as usize;
    if !(2..=6).contains(&length) {
        return None;
    }
    let continuations = text.get(1..length)?;
    let mut code = u32::from(first & (0x7f >> length));
    for byte in continuations {
        if byte & 0xc0 != 0x80 {
            return None;
        }
        code = code << 6 | u32::from(byte & 0x3f);
    }
    let valid =
        code >= SMALLEST[length - 1] && (mode == Utf8Mode::Lax || char::from_u32(code).is_some());
    valid.then_some((code, length))
}

/// The offset of a Lua position that `utf8` functions take: like [`range_start`], but what lies
/// outside stays outside, as `None` before the string.
fn utf8_position(position: i64, length: usize) -> Option<usize> {
    let position =
        if position >= 0 { position } else { position.checked_add_unsigned(length as u64)? + 1 };
    position.checked_sub(1).and_then(|offset| usize::try_from(offset).ok())
}

/// What `utf8.len` finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Utf8Length {
    /// The number of characters.
    Characters(usize),
    /// An invalid sequence at this offset.
    InvalidAt(usize),
}

/// Counts the characters that start between the Lua positions `i` and `j` (by default 1 and -1).
///
/// # Errors
/// [`StringError::InitialOutOfBounds`], [`StringError::FinalOutOfBounds`].
pub fn utf8_len(text: &[u8], i: i64, j: i64, mode: Utf8Mode) -> Result<Utf8Length, StringError> {
    let mut at = utf8_position(i, text.len())
        .filter(|&at| at <= text.len())
        .ok_or(StringError::InitialOutOfBounds)?;
    let end = utf8_position(j, text.len()).map_or(0, |last| last.saturating_add(1));
    if end > text.len() {
        return Err(StringError::FinalOutOfBounds);
    }
    let mut count = 0;
    while at < end {
        let Some((_, length)) = utf8_decode(&text[at..], mode) else {
            return Ok(Utf8Length::InvalidAt(at));
        };
        at += length;
        count += 1;
    }
    Ok(Utf8Length::Characters(count))
}

/// Gives `sink` the codes of the characters that start between the Lua positions `i` and `j` (by
/// default 1 and `i`), which must be at most `most` bytes apart.
///
/// # Errors
/// [`StringError::OutOfBounds`], [`StringError::SliceTooLong`], [`StringError::InvalidUtf8`].
pub fn utf8_codepoints(
    text: &[u8],
    (i, j): (i64, i64),
    most: usize,
    mode: Utf8Mode,
    mut sink: impl FnMut(u32),
) -> Result<(), StringError> {
    let mut at = utf8_position(i, text.len()).ok_or(StringError::OutOfBounds(2))?;
    let end = utf8_position(j, text.len()).map_or(0, |last| last.saturating_add(1));
    if end > text.len() {
        return Err(StringError::OutOfBounds(3));
    }
    if end.saturating_sub(at) > most {
        return Err(StringError::SliceTooLong);
    }
    while at < end {
        let (code, length) = utf8_decode(&text[at..], mode).ok_or(StringError::InvalidUtf8)?;
        sink(code);
        at += length;
    }
    Ok(())
}

/// The position, for `utf8.offset`, from which a count of `n` characters starts when the caller
/// gives none.
pub fn utf8_offset_default(n: i64, length: usize) -> i64 {
    if n >= 0 { 1 } else { length as i64 + 1 }
}

/// The offset at which the `n`-th character counting from the Lua position `i` starts; nothing if
/// there is no such character. Zero finds the start of the character that contains `i`.
///
/// # Errors
/// [`StringError::PositionOutOfBounds`], [`StringError::ContinuationByte`].
pub fn utf8_offset(text: &[u8], n: i64, i: i64) -> Result<Option<usize>, StringError> {
    let mut at = utf8_position(i, text.len())
        .filter(|&at| at <= text.len())
        .ok_or(StringError::PositionOutOfBounds)?;
    if n == 0 {
        while at > 0 && is_continuation(text, at) {
            at -= 1;
        }
        return Ok(Some(at));
    }
    if is_continuation(text, at) {
        return Err(StringError::ContinuationByte);
    }
    let mut steps = if n > 0 { n.unsigned_abs() - 1 } else { n.unsigned_abs() };
    while steps > 0 {
        if if n > 0 { at >= text.len() } else { at == 0 } {
            return Ok(None);
        }
        loop {
            at = if n > 0 { at + 1 } else { at - 1 };
            if at == 0 || !is_continuation(text, at) {
                break;
            }
        }
        steps -= 1;
    }
    Ok(Some(at))
}

/// One step of `utf8.codes`: the character behind the one at the Lua position `previous` (zero for
/// the first step), as its offset and code; nothing at the end. A continuation byte that follows a
/// complete character is an error, as since Lua 5.4.5; before, the loop skipped it.
///
/// # Errors
/// [`StringError::InvalidUtf8`].
pub fn utf8_next(
    text: &[u8],
    previous: i64,
    mode: Utf8Mode,
) -> Result<Option<(usize, u32)>, StringError> {
    let mut at = usize::try_from(previous).unwrap_or(usize::MAX);
    while is_continuation(text, at) {
        at += 1;
    }
    if at >= text.len() {
        return Ok(None);
    }
    match utf8_decode(&text[at..], mode) {
        Some((code, len)) if !is_continuation(text, at + len) => Ok(Some((at, code))),
        _ => Err(StringError::InvalidUtf8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Utf8Length::{Characters, InvalidAt};
    use Utf8Mode::{Lax, Strict};

    #[test]
    fn ranges_follow_lua_positions() {
        let select = |i, j| &b"hello"[sub_range(5, i, j)];
        assert_eq!(select(2, 4), b"ell");
        assert_eq!(select(-3, -1), b"llo");
        assert_eq!(select(-100, 2), b"he");
        assert_eq!(select(0, 100), b"hello");
        assert_eq!(select(4, 3), b"");
        assert_eq!(select(6, 10), b"");
        assert_eq!(select(1, -6), b"");
        assert_eq!(select(i64::MIN, i64::MAX), b"hello");
        assert_eq!(select(i64::MAX, i64::MIN), b"");
    }

    #[test]
    fn repetition() {
        assert_eq!(repeat(b"ab", 3, b""), Ok(b"ababab".to_vec()));
        assert_eq!(repeat(b"ab", 4, b", "), Ok(b"ab, ab, ab, ab".to_vec()));
        assert_eq!(repeat(b"ab", 1, b", "), Ok(b"ab".to_vec()));
        assert_eq!(repeat(b"", 4, b"-"), Ok(b"---".to_vec()));
        assert_eq!(repeat(b"ab", 0, b"-"), Ok(Vec::new()));
        assert_eq!(repeat(b"ab", -1, b"-"), Ok(Vec::new()));
        assert_eq!(repeat(b"", i64::MAX, b""), Ok(Vec::new()));
        assert_eq!(repeat(b"ab", i64::MAX, b""), Err(StringError::ResultTooLarge));
        assert_eq!(repeat(b"a", 1 << 62, b"b"), Err(StringError::ResultTooLarge));
    }

    #[test]
    fn letter_case_and_order() {
        assert_eq!(upper(b"aZ\xe9"), b"AZ\xe9");
        assert_eq!(lower(b"aZ\xc9"), b"az\xc9");
        assert_eq!(reverse(b"abc"), b"cba");
    }

    #[test]
    fn codes_round_trip_at_every_boundary() {
        let boundaries = [
            0,
            0x7f,
            0x80,
            0x7ff,
            0x800,
            0xffff,
            0x1_0000,
            0x1f_ffff,
            0x20_0000,
            0x3ff_ffff,
            0x400_0000,
            MAX_UTF8_CODE,
        ];
        let lengths = [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6];
        for (code, length) in boundaries.into_iter().zip(lengths) {
            let mut bytes = Vec::new();
            utf8_encode(&mut bytes, i64::from(code)).expect("in range");
            assert_eq!(utf8_decode(&bytes, Lax), Some((code, length)), "{code:x}");
            let strict = char::from_u32(code).map(|_| (code, length));
            assert_eq!(utf8_decode(&bytes, Strict), strict, "{code:x}");
            assert_eq!(utf8_decode(&bytes[..length - 1], Lax), None, "{code:x} cut short");
        }
        assert_eq!(utf8_encode(&mut Vec::new(), -1), Err(StringError::CodeOutOfRange));
        assert_eq!(utf8_encode(&mut Vec::new(), 1 << 31), Err(StringError::CodeOutOfRange));
    }

    #[test]
    fn invalid_sequences_do_not_decode() {
        for bytes in [
            &b"\x80"[..],
            b"\xc0\x80",
            b"\xc1\xbf",
            b"\xe0\x80\x80",
            b"\xf0\x80\x80\x80",
            b"\xff\x80",
            b"\xfe\x80\x80\x80\x80\x80\x80",
            b"\xc3a",
            b"",
        ] {
            assert_eq!(utf8_decode(bytes, Lax), None, "{bytes:x?}");
        }
        assert_eq!(utf8_decode(b"\xed\xa0\x80", Strict), None, "a surrogate");
        assert_eq!(utf8_decode(b"\xed\xa0\x80", Lax), Some((0xd800, 3)));
        assert_eq!(utf8_decode(b"\xf4\x90\x80\x80", Strict), None, "beyond Unicode");
    }

    #[test]
    fn lengths() {
        let text = "aé日x".as_bytes();
        assert_eq!(utf8_len(text, 1, -1, Strict), Ok(Characters(4)));
        assert_eq!(utf8_len(text, 2, 4, Strict), Ok(Characters(2)));
        assert_eq!(utf8_len(text, 3, -1, Strict), Ok(InvalidAt(2)));
        assert_eq!(utf8_len(text, 8, -1, Strict), Ok(Characters(0)));
        assert_eq!(utf8_len(b"", 1, -1, Strict), Ok(Characters(0)));
        assert_eq!(utf8_len(b"abc", 5, -1, Strict), Err(StringError::InitialOutOfBounds));
        assert_eq!(utf8_len(b"abc", 0, -1, Strict), Err(StringError::InitialOutOfBounds));
        assert_eq!(utf8_len(b"abc", 1, 4, Strict), Err(StringError::FinalOutOfBounds));
        assert_eq!(
            utf8_len(b"abc", i64::MIN, i64::MIN, Strict),
            Err(StringError::InitialOutOfBounds)
        );
    }

    #[test]
    fn code_points() {
        let codes = |text: &[u8], i, j| {
            let mut codes = Vec::new();
            utf8_codepoints(text, (i, j), 4, Strict, |code| codes.push(code)).map(|()| codes)
        };
        assert_eq!(codes("aé".as_bytes(), 1, -1), Ok(vec![0x61, 0xe9]));
        assert_eq!(codes("é日!".as_bytes(), 3, -1), Ok(vec![0x65e5, 0x21]));
        assert_eq!(codes("é日!".as_bytes(), 1, -1), Err(StringError::SliceTooLong));
        assert_eq!(codes(b"abc", 2, 2), Ok(vec![0x62]));
        assert_eq!(codes(b"abc", 3, 2), Ok(vec![]));
        assert_eq!(codes(b"abc", 0, 1), Err(StringError::OutOfBounds(2)));
        assert_eq!(codes(b"abc", 1, 4), Err(StringError::OutOfBounds(3)));
        assert_eq!(codes(b"a\xff", 1, 2), Err(StringError::InvalidUtf8));
    }

    #[test]
    fn offsets() {
        let text = "aé日x".as_bytes();
        let from_start = |n| utf8_offset(text, n, utf8_offset_default(n, text.len()));
        assert_eq!(
            [1, 2, 3, 4, 5, 6].map(from_start),
            [Ok(Some(0)), Ok(Some(1)), Ok(Some(3)), Ok(Some(6)), Ok(Some(7)), Ok(None)]
        );
        assert_eq!(
            [-1, -2, -4, -5].map(from_start),
            [Ok(Some(6)), Ok(Some(3)), Ok(Some(0)), Ok(None)]
        );
        assert_eq!(utf8_offset(text, 0, 5), Ok(Some(3)));
        assert_eq!(utf8_offset(text, 1, 3), Err(StringError::ContinuationByte));
        assert_eq!(utf8_offset(text, 1, 9), Err(StringError::PositionOutOfBounds));
        assert_eq!(utf8_offset(text, i64::MIN, 8), Ok(None));
    }

    #[test]
    fn iteration() {
        let text = "aé日".as_bytes();
        let mut found = Vec::new();
        let mut position = 0;
        while let Some((offset, code)) = utf8_next(text, position, Strict).expect("valid text") {
            found.push((offset, code));
            position = offset as i64 + 1;
        }
        assert_eq!(found, [(0, 0x61), (1, 0xe9), (3, 0x65e5)]);
        assert_eq!(utf8_next(b"a\xe4", 1, Strict), Err(StringError::InvalidUtf8));
        assert_eq!(utf8_next(b"a", -1, Strict), Ok(None));
        for (text, position) in [(&b"a\x80b"[..], 0), (b"\xc3\xa9\xbf", 0), (b"ab\x80", 1)] {
            assert_eq!(utf8_next(text, position, Strict), Err(StringError::InvalidUtf8));
        }
    }
}
