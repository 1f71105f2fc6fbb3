//! Lua patterns: matching, captures, plain search and `gsub` replacement strings.
//!
//! Callers are the `string` library functions `find`, `match`, `gmatch` and `gsub`; nothing here
//! knows about values or the heap, so a caller that may run Lua code between two matches copies its
//! subject first.
//!
//! Invariants:
//! * the native stack is bounded. Every recursive step counts against [`MAX_DEPTH`]; repetition
//!   of one character is a loop.
//! * a malformed item is reported only when matching reaches it, as in the reference
//!   implementation.
//! * a failed step leaves `captures` as it found it; after a success they describe that match
//!   until the next attempt.
//! * PT4: matching can be interrupted. The matcher counts its work, in steps and bytes looked at,
//!   and looks at the interrupt once per [`WORK_PER_LOOK`] of it. The search for a first byte is
//!   not counted; it is bounded by the subject's length.
//!
//! The backtracking scheme and the order in which errors appear follow the reference manual's
//! §6.4.1 and the observable behaviour of the reference interpreter. Sets are compiled to bitmaps
//! on first use, and the byte that must come next is looked for before recursing.

use super::{NoRoom, Output};
use crate::interrupt::Interrupt;

/// The most captures one pattern may have.
pub const MAX_CAPTURES: usize = 32;

/// The deepest nesting of pattern items before matching gives up with [`PatternError::TooComplex`].
pub const MAX_DEPTH: u32 = 200;

/// Steps and bytes of a match between two looks at the interrupt: some tens of microseconds.
const WORK_PER_LOOK: usize = 1 << 16;

/// What is wrong with a pattern or with a replacement string, in the words of Lua 5.4; or why
/// matching was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The pattern ends in a lone `%`.
    #[error("malformed pattern (ends with '%')")]
    EndsWithEscape,
    /// A set has no closing bracket.
    #[error("malformed pattern (missing ']')")]
    MissingBracket,
    /// `%b` is not followed by two characters.
    #[error("malformed pattern (missing arguments to '%b')")]
    MissingBalanceArguments,
    /// `%f` is not followed by a set.
    #[error("missing '[' after '%f' in pattern")]
    MissingFrontierSet,
    /// A capture was opened and not closed.
    #[error("unfinished capture")]
    UnfinishedCapture,
    /// A capture was closed and never opened.
    #[error("invalid pattern capture")]
    InvalidPatternCapture,
    /// A reference to a capture that does not exist or is still open.
    #[error("invalid capture index %{0}")]
    InvalidCaptureIndex(u8),
    /// More than [`MAX_CAPTURES`] captures.
    #[error("too many captures")]
    TooManyCaptures,
    /// Nesting beyond [`MAX_DEPTH`].
    #[error("pattern too complex")]
    TooComplex,
    /// A `%` in a replacement string is followed by neither a digit nor another `%`.
    #[error("invalid use of '%' in replacement string")]
    InvalidReplacementEscape,
    /// The script is to stop.
    #[error("interrupted!")]
    Interrupted,
}

/// One capture of a successful match, in byte offsets from the start of the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    /// The bytes `start..end` of the subject.
    Range(usize, usize),
    /// A position capture `()`; the offset counts from zero, so Lua sees it plus one.
    Position(usize),
}

/// How far a capture has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GcCell {
    Open(usize),
    Closed(usize, usize),
    Position(usize),
}

/// Why a step produced no end position.
#[derive(Debug, Clone, Copy)]
enum Stop {
    NoMatch,
    Error(PatternError),
}

impl From<PatternError> for Stop {
    fn from(error: PatternError) -> Self {
        Stop::Error(error)
    }
}

type Step = Result<usize, Stop>;

/// Whether a leading `^` ties the pattern to the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Start,
    None,
}

/// A pattern item that matches exactly one byte.
#[derive(Debug, Clone, Copy)]
enum Single {
    Any,
    Byte(u8),
    Class(Class),
    /// Index into `Matcher::sets`.
    Set(usize),
}

/// A `%x` class: the bits to test and whether the upper-case letter inverted it.
#[derive(Debug, Clone, Copy)]
struct Class {
    mask: u16,
    member: bool,
}

impl Class {
    /// All bytes of the class.
    fn members(self) -> ByteSet {
        let mut union = ByteSet::EMPTY;
        for (bit, set) in CLASS_SETS.iter().enumerate() {
            if self.mask >> bit & 1 != 0 {
                union = union.union(set);
            }
        }
        if self.member { union } else { union.complement() }
    }

    fn contains(self, byte: u8) -> bool {
        (CLASS_BITS[usize::from(byte)] & self.mask != 0) == self.member
    }
}

/// A compiled `[set]`: where it starts and ends in the pattern, and its members.
#[derive(Debug, Clone, Copy)]
struct Set {
    start: usize,
    end: usize,
    members: ByteSet,
}

/// 256 bits, one per byte value.
#[derive(Debug, Clone, Copy)]
struct ByteSet([u64; 4]);

impl ByteSet {
    const EMPTY: ByteSet = ByteSet([0; 4]);

    fn union(self, other: &ByteSet) -> ByteSet {
        ByteSet(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    fn complement(self) -> ByteSet {
        ByteSet(self.0.map(|word| !word))
    }

    fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 != 0
    }
}

const ALPHA: u16 = 1;
const CONTROL: u16 = 1 << 1;
const DIGIT: u16 = 1 << 2;
const GRAPH: u16 = 1 << 3;
const LOWER: u16 = 1 << 4;
const PUNCT: u16 = 1 << 5;
const SPACE: u16 = 1 << 6;
const UPPER: u16 = 1 << 7;
const HEX: u16 = 1 << 8;
const ZERO: u16 = 1 << 9;

/// The character classes of the C locale, one word of bits per byte value.
static CLASS_BITS: [u16; 256] = class_bits();

const fn class_bits() -> [u16; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let byte = i as u8;
        let tests = [
            (byte.is_ascii_alphabetic(), ALPHA),
            (byte.is_ascii_control(), CONTROL),
            (byte.is_ascii_digit(), DIGIT),
            (byte.is_ascii_graphic(), GRAPH),
            (byte.is_ascii_lowercase(), LOWER),
            (byte.is_ascii_punctuation(), PUNCT),
            // Unlike Rust's notion of white space, C's includes the vertical tab.
            (byte == b' ' || (byte >= 9 && byte <= 13), SPACE),
            (byte.is_ascii_uppercase(), UPPER),
            (byte.is_ascii_hexdigit(), HEX),
            (byte == 0, ZERO),
        ];
        let mut t = 0;
        while t < tests.len() {
            if tests[t].0 {
                table[i] |= tests[t].1;
            }
            t += 1;
        }
        i += 1;
    }
    table
}

/// The members of each class, in the order of the class bits.
static CLASS_SETS: [ByteSet; 10] = class_sets();

const fn class_sets() -> [ByteSet; 10] {
    let mut sets = [ByteSet::EMPTY; 10];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < sets.len() {
            if CLASS_BITS[byte] >> bit & 1 != 0 {
                sets[bit].0[byte / 64] |= 1 << (byte % 64);
            }
            bit += 1;
        }
        byte += 1;
    }
    sets
}

/// What `%letter` stands for: a class, or the letter itself.
fn escaped(letter: u8) -> Single {
    let mask = match letter.to_ascii_lowercase() {
        b'a' => ALPHA,
        b'c' => CONTROL,
        b'd' => DIGIT,
        b'g' => GRAPH,
        b'l' => LOWER,
        b'p' => PUNCT,
        b's' => SPACE,
        b'u' => UPPER,
        b'w' => ALPHA | DIGIT,
        b'x' => HEX,
        b'z' => ZERO,
        _ => return Single::Byte(letter),
    };
    Single::Class(Class { mask, member: letter.is_ascii_lowercase() })
}

/// One pattern at work on one subject.
///
/// The usual loop of `gmatch` and `gsub` is [`Matcher::search`] with the end of the previous match.
#[derive(Debug)]
pub struct Matcher<'a> {
    subject: &'a [u8],
    pattern: &'a [u8],
    anchor: Anchor,
    interrupt: &'a Interrupt,
    depth: u32,
    /// Work since the last look at the interrupt (PT4).
    work: usize,
    captures: Vec<GcCell>,
    sets: Vec<Set>,
}

impl<'a> Matcher<'a> {
    /// Prepares `pattern` for `subject`; a leading `^` anchors it. `interrupt` ends a match that
    /// takes long.
    pub fn new(subject: &'a [u8], pattern: &'a [u8], interrupt: &'a Interrupt) -> Self {
        match pattern.split_first() {
            Some((b'^', rest)) => Self::with_anchor(subject, rest, interrupt, Anchor::Start),
            _ => Self::with_anchor(subject, pattern, interrupt, Anchor::None),
        }
    }

    /// Like [`Matcher::new`], for `gmatch`, where a leading `^` is an ordinary character.
    pub fn for_gmatch(subject: &'a [u8], pattern: &'a [u8], interrupt: &'a Interrupt) -> Self {
        Self::with_anchor(subject, pattern, interrupt, Anchor::None)
    }

    fn with_anchor(
        subject: &'a [u8],
        pattern: &'a [u8],
        interrupt: &'a Interrupt,
        anchor: Anchor,
    ) -> Self {
        let (captures, sets) = (Vec::new(), Vec::new());
        Matcher { subject, pattern, anchor, interrupt, depth: 0, work: 0, captures, sets }
    }

    /// Whether the pattern began with `^`. A `gsub` stops after one attempt then.
    pub fn is_anchored(&self) -> bool {
        self.anchor == Anchor::Start
    }

    /// Tries to match exactly at `start` and returns the end of the match.
    ///
    /// # Errors
    /// Whatever is wrong with the part of the pattern that was reached;
    /// [`PatternError::Interrupted`].
    ///
    /// # Panics
    /// If `start` lies beyond the end of the subject.
    pub fn match_at(&mut self, start: usize) -> Result<Option<usize>, PatternError> {
        assert!(start <= self.subject.len(), "match attempted beyond the end of the subject");
        self.captures.clear();
        self.depth = 0;
        match self.step(start, 0) {
            Ok(end) => Ok(Some(end)),
            Err(Stop::NoMatch) => Ok(None),
            Err(Stop::Error(error)) => Err(error),
        }
    }

    /// The first match that starts at or after `from` and does not end at `previous_end`, as
    /// `(start, end)`.
    ///
    /// An anchored pattern is tried at `from` only. `previous_end` is the end of the match before
    /// this one, so that an empty match is not found right behind it; pass `None` for a first
    /// search.
    ///
    /// # Errors
    /// As for [`Matcher::match_at`].
    pub fn search(
        &mut self,
        from: usize,
        previous_end: Option<usize>,
    ) -> Result<Option<(usize, usize)>, PatternError> {
        let mut start = from;
        self.captures.clear();
        let first = if self.is_anchored() { None } else { self.leading(0) };
        while start <= self.subject.len() {
            if let Some(first) = first {
                match self.find_single(first, start) {
                    Some(position) => start = position,
                    None => return Ok(None),
                }
            }
            if let Some(end) = self.match_at(start)?
                && Some(end) != previous_end
            {
                return Ok(Some((start, end)));
            }
            if self.is_anchored() {
                break;
            }
            start += 1;
        }
        Ok(None)
    }

    /// How many values the last match yields: its captures, or one for the whole match when the
    /// pattern has none.
    pub fn value_count(&self) -> usize {
        self.captures.len().max(1)
    }

    /// How many captures the last match has.
    pub fn capture_count(&self) -> usize {
        self.captures.len()
    }

    /// Value number `index`, from zero, of the last match, which spanned `start..end`.
    ///
    /// # Errors
    /// [`PatternError::InvalidCaptureIndex`] for a capture that does not exist,
    /// [`PatternError::UnfinishedCapture`] for one never closed.
    pub fn value(&self, index: usize, start: usize, end: usize) -> Result<Capture, PatternError> {
        match self.captures.get(index) {
            Some(&GcCell::Closed(from, to)) => Ok(Capture::Range(from, to)),
            Some(&GcCell::Position(at)) => Ok(Capture::Position(at)),
            Some(GcCell::Open(_)) => Err(PatternError::UnfinishedCapture),
            None if index == 0 => Ok(Capture::Range(start, end)),
            None => {
                Err(PatternError::InvalidCaptureIndex(u8::try_from(index + 1).unwrap_or(u8::MAX)))
            }
        }
    }

    /// Appends the replacement string `template` to `out`, with `%0` to `%9` standing for the match
    /// `start..end` and its captures.
    ///
    /// # Errors
    /// [`PatternError::InvalidReplacementEscape`], or as for [`Matcher::value`], or if `out` has no
    /// room; what `out` has got then is of no use.
    pub fn expand<E: From<PatternError> + From<NoRoom>>(
        &self,
        template: &[u8],
        start: usize,
        end: usize,
        out: &mut impl Output,
    ) -> Result<(), E> {
        let mut rest = template;
        while let Some(escape) = memchr::memchr(b'%', rest) {
            out.append(&rest[..escape])?;
            match rest.get(escape + 1) {
                Some(b'%') => out.append(b"%")?,
                Some(b'0') => out.append(&self.subject[start..end])?,
                Some(digit @ b'1'..=b'9') => {
                    match self.value(usize::from(digit - b'1'), start, end)? {
                        Capture::Range(from, to) => out.append(&self.subject[from..to])?,
                        Capture::Position(at) => {
                            super::format::push_decimal(
                                out.room(super::format::DECIMAL_MAX)?,
                                at as i64 + 1,
                            );
                        }
                    }
                }
                _ => return Err(PatternError::InvalidReplacementEscape.into()),
            }
            rest = &rest[escape + 2..];
        }
        Ok(out.append(rest)?)
    }

    /// Matches the pattern from `p` at `s`, counting one level of nesting.
    fn step(&mut self, s: usize, p: usize) -> Step {
        if self.depth == MAX_DEPTH {
            return Err(PatternError::TooComplex.into());
        }
        self.charge(1)?;
        self.depth += 1;
        let result = self.items(s, p);
        self.depth -= 1;
        result
    }

    /// Counts work, and looks at the interrupt when there was enough of it (PT4).
    #[inline]
    fn charge(&mut self, work: usize) -> Result<(), Stop> {
        self.work += work;
        if self.work >= WORK_PER_LOOK {
            self.work = 0;
            if self.interrupt.is_up() {
                return Err(PatternError::Interrupted.into());
            }
        }
        Ok(())
    }

    /// The loop over pattern items; only items that may need backtracking recurse.
    fn items(&mut self, mut s: usize, mut p: usize) -> Step {
        while let Some(&byte) = self.pattern.get(p) {
            let next = self.pattern.get(p + 1).copied();
            match (byte, next) {
                (b'(', Some(b')')) => return self.open(GcCell::Position(s), s, p + 2),
                (b'(', _) => return self.open(GcCell::Open(s), s, p + 1),
                (b')', _) => return self.close(s, p + 1),
                (b'$', None) => {
                    return if s == self.subject.len() { Ok(s) } else { Err(Stop::NoMatch) };
                }
                (b'%', Some(b'b')) => {
                    s = self.balance(s, p + 2)?;
                    p += 4;
                }
                (b'%', Some(b'f')) => p = self.frontier(s, p + 2)?,
                (b'%', Some(digit @ b'0'..=b'9')) => {
                    s = self.back_reference(s, digit)?;
                    p += 2;
                }
                _ => {
                    let (single, after) = self.single(p)?;
                    let found = s < self.subject.len() && self.matches(single, self.subject[s]);
                    match self.pattern.get(after) {
                        Some(b'*') if found => return self.longest(s, single, after + 1),
                        Some(b'+') if found => return self.longest(s + 1, single, after + 1),
                        Some(b'-') if found => return self.shortest(s, single, after + 1),
                        Some(b'?') if found => match self.step(s + 1, after + 1) {
                            Err(Stop::NoMatch) => p = after + 1,
                            decided => return decided,
                        },
                        Some(b'*' | b'-' | b'?') => p = after + 1,
                        _ if found => {
                            s += 1;
                            p = after;
                        }
                        _ => return Err(Stop::NoMatch),
                    }
                }
            }
        }
        Ok(s)
    }

    /// As many repetitions of `single` as let the rest of the pattern, from `rest`, match.
    fn longest(&mut self, s: usize, single: Single, rest: usize) -> Step {
        let mut end = s + self.run_length(single, &self.subject[s..]);
        self.charge(end - s)?;
        match self.step(end, rest) {
            Err(Stop::NoMatch) => {}
            decided => return decided,
        }
        let follower = self.leading(rest);
        while end > s {
            end -= 1;
            if follower.is_none_or(|follower| self.matches(follower, self.subject[end])) {
                match self.step(end, rest) {
                    Err(Stop::NoMatch) => {}
                    decided => return decided,
                }
            }
        }
        Err(Stop::NoMatch)
    }

    /// As few repetitions of `single` as let the rest of the pattern, from `rest`, match.
    fn shortest(&mut self, mut s: usize, single: Single, rest: usize) -> Step {
        match self.step(s, rest) {
            Err(Stop::NoMatch) => {}
            decided => return decided,
        }
        let follower = self.leading(rest);
        while let Some(&byte) = self.subject.get(s)
            && self.matches(single, byte)
        {
            s += 1;
            self.charge(1)?;
            let next = self.subject.get(s);
            if follower
                .is_none_or(|follower| next.is_some_and(|&next| self.matches(follower, next)))
            {
                match self.step(s, rest) {
                    Err(Stop::NoMatch) => {}
                    decided => return decided,
                }
            }
        }
        Err(Stop::NoMatch)
    }

    /// How many bytes at the start of `bytes` match `single`.
    fn run_length(&self, single: Single, bytes: &[u8]) -> usize {
        let stop = match single {
            Single::Any => None,
            Single::Byte(wanted) => bytes.iter().position(|&byte| byte != wanted),
            Single::Class(class) => bytes.iter().position(|&byte| !class.contains(byte)),
            Single::Set(index) => {
                let members = self.sets[index].members;
                bytes.iter().position(|&byte| !members.contains(byte))
            }
        };
        stop.unwrap_or(bytes.len())
    }

    /// The first position at or after `from`, which is inside the subject or at its end, whose byte
    /// matches `single`.
    fn find_single(&self, single: Single, from: usize) -> Option<usize> {
        let rest = &self.subject[from..];
        let offset = match single {
            Single::Any => (!rest.is_empty()).then_some(0),
            Single::Byte(wanted) => memchr::memchr(wanted, rest),
            Single::Class(class) => rest.iter().position(|&byte| class.contains(byte)),
            Single::Set(index) => {
                let members = self.sets[index].members;
                rest.iter().position(|&byte| members.contains(byte))
            }
        };
        offset.map(|offset| from + offset)
    }

    fn matches(&self, single: Single, byte: u8) -> bool {
        match single {
            Single::Any => true,
            Single::Byte(wanted) => byte == wanted,
            Single::Class(class) => class.contains(byte),
            Single::Set(index) => self.sets[index].members.contains(byte),
        }
    }

    /// The one-byte item with which any match of the pattern from `p` must begin, if that is plain
    /// to see.
    ///
    /// Captures in between are looked through unless they could be an error, which only a real
    /// attempt may report.
    fn leading(&mut self, mut p: usize) -> Option<Single> {
        let mut opened = self.captures.len();
        let mut open = self.captures.iter().filter(|slot| matches!(slot, GcCell::Open(_))).count();
        loop {
            match (*self.pattern.get(p)?, self.pattern.get(p + 1)) {
                (b'(', next) => {
                    opened += 1;
                    if opened > MAX_CAPTURES {
                        return None;
                    }
                    if next == Some(&b')') {
                        p += 2;
                    } else {
                        open += 1;
                        p += 1;
                    }
                }
                (b')', _) => {
                    open = open.checked_sub(1)?;
                    p += 1;
                }
                (b'$', None) | (b'%', None | Some(b'b' | b'f' | b'0'..=b'9')) => return None,
                _ => break,
            }
        }
        let (single, after) = self.single(p).ok()?;
        match self.pattern.get(after) {
            Some(b'*' | b'?' | b'-') => None,
            _ => Some(single),
        }
    }

    /// The one-byte item at `p` and the position behind it.
    fn single(&mut self, p: usize) -> Result<(Single, usize), PatternError> {
        match self.pattern[p] {
            b'.' => Ok((Single::Any, p + 1)),
            b'%' => match self.pattern.get(p + 1) {
                Some(&letter) => Ok((escaped(letter), p + 2)),
                None => Err(PatternError::EndsWithEscape),
            },
            b'[' => {
                let index = self.set(p)?;
                Ok((Single::Set(index), self.sets[index].end))
            }
            byte => Ok((Single::Byte(byte), p + 1)),
        }
    }

    /// The compiled form of the set whose `[` is at `p`, compiling it on first use.
    fn set(&mut self, p: usize) -> Result<usize, PatternError> {
        if let Some(index) = self.sets.iter().position(|set| set.start == p) {
            return Ok(index);
        }
        let set = compile_set(self.pattern, p)?;
        self.sets.push(set);
        Ok(self.sets.len() - 1)
    }

    fn open(&mut self, slot: GcCell, s: usize, rest: usize) -> Step {
        if self.captures.len() >= MAX_CAPTURES {
            return Err(PatternError::TooManyCaptures.into());
        }
        self.captures.push(slot);
        let result = self.step(s, rest);
        if result.is_err() {
            self.captures.pop();
        }
        result
    }

    fn close(&mut self, s: usize, rest: usize) -> Step {
        let innermost = self.captures.iter().rposition(|slot| matches!(slot, GcCell::Open(_)));
        let Some((index, GcCell::Open(start))) =
            innermost.map(|index| (index, self.captures[index]))
        else {
            return Err(PatternError::InvalidPatternCapture.into());
        };
        self.captures[index] = GcCell::Closed(start, s);
        let result = self.step(s, rest);
        if result.is_err() {
            self.captures[index] = GcCell::Open(start);
        }
        result
    }

    /// `%bxy` with its two arguments at `p`: the end of the balanced text that starts at `s`.
    fn balance(&mut self, s: usize, p: usize) -> Step {
        let (Some(&open), Some(&close)) = (self.pattern.get(p), self.pattern.get(p + 1)) else {
            return Err(PatternError::MissingBalanceArguments.into());
        };
        if self.subject.get(s) != Some(&open) {
            return Err(Stop::NoMatch);
        }
        let mut nesting = 1usize;
        for (offset, &byte) in self.subject[s + 1..].iter().enumerate() {
            // The closing byte is tested first: with equal delimiters the second one closes.
            if byte == close {
                nesting -= 1;
                if nesting == 0 {
                    self.charge(offset)?;
                    return Ok(s + offset + 2);
                }
            } else if byte == open {
                nesting += 1;
            }
        }
        self.charge(self.subject.len() - s)?;
        Err(Stop::NoMatch)
    }

    /// `%f[set]` with its set at `p`: the position behind the set if `s` is such a frontier. Beyond
    /// both ends stands a zero byte.
    fn frontier(&mut self, s: usize, p: usize) -> Step {
        if self.pattern.get(p) != Some(&b'[') {
            return Err(PatternError::MissingFrontierSet.into());
        }
        let index = self.set(p)?;
        let Set { members, end, .. } = self.sets[index];
        let before = s.checked_sub(1).map_or(0, |at| self.subject[at]);
        let here = self.subject.get(s).copied().unwrap_or(0);
        if !members.contains(before) && members.contains(here) {
            Ok(end)
        } else {
            Err(Stop::NoMatch)
        }
    }

    /// `%1` to `%9`: the end of a repetition of that capture at `s`.
    fn back_reference(&mut self, s: usize, digit: u8) -> Step {
        let number = digit - b'0';
        let slot = usize::from(number).checked_sub(1).and_then(|index| self.captures.get(index));
        match slot {
            None | Some(GcCell::Open(_)) => Err(PatternError::InvalidCaptureIndex(number).into()),
            Some(GcCell::Position(_)) => Err(Stop::NoMatch),
            Some(&GcCell::Closed(start, end)) => {
                self.charge(end - start)?;
                if self.subject[s..].starts_with(&self.subject[start..end]) {
                    Ok(s + end - start)
                } else {
                    Err(Stop::NoMatch)
                }
            }
        }
    }
}

/// Compiles the set whose `[` is at `start`.
fn compile_set(pattern: &[u8], start: usize) -> Result<Set, PatternError> {
    let mut first = start + 1;
    let negated = pattern.get(first) == Some(&b'^');
    if negated {
        first += 1;
    }
    let close = set_close(pattern, first)?;
    let body = &pattern[first..close];
    let mut members = ByteSet::EMPTY;
    let mut at = 0;
    while at < body.len() {
        match (body[at], body.get(at + 1), body.get(at + 2)) {
            (b'%', Some(&letter), _) => {
                match escaped(letter) {
                    Single::Class(class) => members = members.union(&class.members()),
                    _ => members.insert(letter),
                }
                at += 2;
            }
            (low, Some(b'-'), Some(&high)) => {
                (low..=high).for_each(|byte| members.insert(byte));
                at += 3;
            }
            (byte, ..) => {
                members.insert(byte);
                at += 1;
            }
        }
    }
    if negated {
        members = members.complement();
    }
    Ok(Set { start, end: close + 1, members })
}

/// The position of the `]` that closes a set whose first member is at `first`; that first member
/// may itself be a `]`.
fn set_close(pattern: &[u8], first: usize) -> Result<usize, PatternError> {
    let mut at = first;
    loop {
        match pattern.get(at) {
            None => return Err(PatternError::MissingBracket),
            Some(b']') if at > first => return Ok(at),
            Some(b'%') => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// Whether `pattern` has no special character, and a search for plain text does its work.
///
/// `string.find` asks this first, as the reference implementation does: a lone `)` is plain text to
/// it, but an error to `string.match`.
pub fn is_plain(pattern: &[u8]) -> bool {
    !pattern.iter().any(|byte| {
        matches!(byte, b'^' | b'$' | b'*' | b'+' | b'?' | b'.' | b'(' | b'[' | b'%' | b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first match as `start..end`, followed by its captures in brackets or as `@position`; `-`
    /// for none; the text of an error.
    fn first(subject: &str, pattern: &str) -> String {
        let calm = Interrupt::default();
        let mut matcher = Matcher::new(subject.as_bytes(), pattern.as_bytes(), &calm);
        match matcher.search(0, None) {
            Err(error) => error.to_string(),
            Ok(None) => "-".to_owned(),
            Ok(Some((start, end))) => {
                let mut shown = format!("{start}..{end}");
                for index in 0..matcher.capture_count() {
                    match matcher.value(index, start, end) {
                        Err(error) => return error.to_string(),
                        Ok(Capture::Position(at)) => shown += &format!(" @{at}"),
                        Ok(Capture::Range(from, to)) => {
                            shown += &format!(" [{}]", &subject[from..to])
                        }
                    }
                }
                shown
            }
        }
    }

    impl From<NoRoom> for PatternError {
        fn from(_: NoRoom) -> Self {
            unreachable!("a vector has room")
        }
    }

    fn gsub(subject: &str, pattern: &str, template: &str) -> Result<(String, usize), PatternError> {
        let subject = subject.as_bytes();
        let calm = Interrupt::default();
        let mut matcher = Matcher::new(subject, pattern.as_bytes(), &calm);
        let (mut out, mut from, mut previous, mut count) = (Vec::new(), 0, None, 0);
        while let Some((start, end)) = matcher.search(from, previous)? {
            out.extend_from_slice(&subject[from..start]);
            matcher.expand::<PatternError>(template.as_bytes(), start, end, &mut out)?;
            (from, previous, count) = (end, Some(end), count + 1);
            if matcher.is_anchored() {
                break;
            }
        }
        out.extend_from_slice(&subject[from..]);
        Ok((String::from_utf8(out).expect("test subjects are text"), count))
    }

    #[test]
    fn items_match_as_in_the_reference() {
        for (subject, pattern, expected) in [
            ("hello world", "o w", "4..7"),
            ("hello", "l+", "2..4"),
            ("hello", "xl*", "-"),
            ("hello", "", "0..0"),
            ("key = value", "^(%w+)%s*=%s*(%w+)$", "0..11 [key] [value]"),
            ("hello", "()ll()", "2..4 @2 @4"),
            ("THE (quick) fox", "%((%a+)%)", "4..11 [quick]"),
            ("f(a(b)c)d", "%b()", "1..8"),
            ("||", "%b||", "0..2"),
            ("THE (quick) fox", "%f[%a]%a+%f[%A]", "0..3"),
            ("[[x]]", "[]]", "3..4"),
            ("a-z", "[a%-]+", "0..2"),
            ("a-z", "[a-]+", "0..2"),
            ("x]", "[^]]", "0..1"),
            ("\"it's\"", "([\"'])(.-)%1", "0..6 [\"] [it's]"),
            ("aXbXc", "a.-X", "0..2"),
            ("aXbXc", "a.*X", "0..4"),
            ("abc", "b?c?d?", "0..0"),
            ("  trim  ", "^%s*(.-)%s*$", "0..8 [trim]"),
            ("a$", "a$$", "0..2"),
            ("a^b", "a^", "0..2"),
            ("*a", "*a", "0..2"),
            ("x\ty", "[%s]", "1..2"),
            ("\0a", "%z", "0..1"),
            ("\x0b", "%s", "0..1"),
            ("aab", "((a)(b))", "1..3 [ab] [a] [b]"),
            ("aa", "()%1", "-"),
        ] {
            assert_eq!(first(subject, pattern), expected, "{subject:?} {pattern:?}");
        }
    }

    #[test]
    fn malformed_patterns_have_the_reference_messages() {
        for (pattern, expected) in [
            ("%", "malformed pattern (ends with '%')"),
            ("[a", "malformed pattern (missing ']')"),
            ("[]", "malformed pattern (missing ']')"),
            ("[^", "malformed pattern (missing ']')"),
            ("[a%]", "malformed pattern (missing ']')"),
            ("%f[", "malformed pattern (missing ']')"),
            ("%bx", "malformed pattern (missing arguments to '%b')"),
            ("%fa", "missing '[' after '%f' in pattern"),
            ("(a", "unfinished capture"),
            ("a)", "invalid pattern capture"),
            ("%1", "invalid capture index %1"),
            ("%0", "invalid capture index %0"),
            ("(a%1)", "invalid capture index %1"),
        ] {
            assert_eq!(first("a", pattern), expected, "{pattern:?}");
        }
        assert_eq!(first("a", "b[a"), "-", "an item that is never reached is not checked");
        assert_eq!(first("a", &"()".repeat(33)), "too many captures");
        assert_eq!(first("", &"()".repeat(32)).matches('@').count(), 32);
    }

    #[test]
    fn nesting_is_bounded_and_repetition_is_not() {
        let long = "a".repeat(100_000);
        assert_eq!(first(&long, "^.-b"), "-");
        assert_eq!(first(&long, "^a*a$"), "0..100000");
        assert_eq!(first(&long, &"a?".repeat(199)), "0..199");
        assert_eq!(first(&long, &"a?".repeat(200)), "pattern too complex");
        assert_eq!(first("", &"a?".repeat(1000)), "0..0", "items that match nothing do not nest");
    }

    #[test]
    fn empty_matches_do_not_touch_the_match_before() {
        assert_eq!(gsub("abc", "%w*", "x"), Ok(("x".to_owned(), 1)));
        assert_eq!(gsub("a b", "%w*", "x"), Ok(("x x".to_owned(), 2)));
        assert_eq!(gsub("hello", "", "-"), Ok(("-h-e-l-l-o-".to_owned(), 6)));
        assert_eq!(gsub("aaa", "^a", "b"), Ok(("baa".to_owned(), 1)));
    }

    #[test]
    fn replacement_templates_expand() {
        assert_eq!(
            gsub("hello world", "(%w+)", "%1-%0%%"),
            Ok(("hello-hello% world-world%".to_owned(), 2))
        );
        assert_eq!(
            gsub("abc", "b", "[%1]"),
            Ok(("a[b]c".to_owned(), 1)),
            "%1 without captures is the whole match"
        );
        assert_eq!(gsub("abc", "()c", "%1"), Ok(("ab3".to_owned(), 1)), "positions count from one");
        assert_eq!(gsub("abc", "b", "%2"), Err(PatternError::InvalidCaptureIndex(2)));
        assert_eq!(gsub("abc", "b", "%x"), Err(PatternError::InvalidReplacementEscape));
        assert_eq!(gsub("abc", "b", "%"), Err(PatternError::InvalidReplacementEscape));
        assert_eq!(gsub("abc", "(b", "x%1"), Err(PatternError::UnfinishedCapture));
    }

    #[test]
    fn gmatch_takes_a_caret_literally() {
        let calm = Interrupt::default();
        assert_eq!(Matcher::for_gmatch(b"a^a", b"^a", &calm).search(0, None), Ok(Some((1, 3))));
        assert_eq!(Matcher::new(b"ba", b"^a", &calm).search(0, None), Ok(None));
    }

    #[test]
    fn plain_patterns_have_no_special_character() {
        assert!(is_plain(b"a)b]c") && !is_plain(b"a.b"));
    }
}
