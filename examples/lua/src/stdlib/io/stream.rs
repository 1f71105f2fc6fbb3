//! [`Stream`]: a file with buffers, as C's `FILE` is one.
//!
//! Nothing here knows about values or the heap. Positions in the input buffer are given out as
//! ranges; they hold until the next [`Stream::begin`].
//!
//! * ST1: at most one of the buffers has content that the file has not seen or that the script has
//!   not read: writing gives unread input back (by seeking), reading writes pending output first.
//! * ST2: what a [`Cursor`] has read counts as read only after [`Stream::commit`]. A caller that
//!   finds no memory for its results can therefore read the same bytes again.
//! * ST3: dropping a stream writes pending output; errors are lost then.

use core::ops::Range;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::process::ExitStatus;

use super::process::Process;
use crate::number::{self, Number};

/// Bytes asked for at a time.
const CHUNK: usize = 16 << 10;

/// Longest numeral that is read as a number.
const MAX_NUMERAL: usize = 200;

/// POSIX's numbers for errors that this module raises itself.
const BAD_FILE: i32 = 9;
const INVALID_ARGUMENT: i32 = 22;
const ILLEGAL_SEEK: i32 = 29;

/// What an open file costs outside of the heap, as a round number: the system's part of it, and this
/// process's without the buffers.
const COST: usize = 4 << 10;

/// What a stream is connected to.
#[derive(Debug)]
pub(super) enum Device {
    /// A file of the script's own.
    File(File),
    /// A program that the shell runs for the script.
    Process(Process),
    /// The process's standard input.
    Stdin,
    /// Where the interpreter's output goes; its bytes do not pass through here.
    Stdout,
    /// The process's standard error.
    Stderr,
    /// Nothing any more.
    Closed,
}

/// What a stream may be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    Input,
    Output,
    Both,
}

/// When output is passed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Buffering {
    None,
    Line,
    Full,
}

/// Whether the end of a line is part of what is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LineEnd {
    Dropped,
    Kept,
}

/// An open file.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) device: Device,
    pub(super) buffering: Buffering,
    direction: Direction,
    input: Vec<u8>,
    /// Start of the input that has not been read.
    unread: usize,
    output: Vec<u8>,
}

impl Stream {
    pub(super) fn new(device: Device, direction: Direction) -> Stream {
        let buffering = match device {
            Device::Stderr => Buffering::None,
            _ => Buffering::Full,
        };
        let (input, output) = (Vec::new(), Vec::new());
        Stream { device, buffering, direction, input, unread: 0, output }
    }

    /// The bytes that the stream owns outside of the heap.
    pub(super) fn owned_bytes(&self) -> usize {
        let own =
            if matches!(self.device, Device::File(_) | Device::Process(_)) { COST } else { 0 };
        own + self.input.capacity() + self.output.capacity()
    }

    // ---- input ----

    /// Starts to read: earlier ranges are void.
    pub(super) fn begin(&mut self) -> io::Result<Cursor<'_>> {
        if self.direction == Direction::Output {
            return Err(io::Error::from_raw_os_error(BAD_FILE));
        }
        self.write_out()?;
        if self.unread == self.input.len() {
            self.input.clear();
            self.unread = 0;
        } else if self.unread > CHUNK {
            self.input.drain(..self.unread);
            self.unread = 0;
        }
        let position = self.unread;
        Ok(Cursor { stream: self, position })
    }

    /// Counts everything before `position` as read (ST2).
    pub(super) fn commit(&mut self, position: usize) {
        self.unread = position;
    }

    /// The bytes of a range that a cursor gave out.
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.input[range]
    }

    /// Appends more input to the buffer; says how much, 0 at the end.
    fn fill(&mut self) -> io::Result<usize> {
        let before = self.input.len();
        self.input.try_reserve(CHUNK).map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.input.resize(before + CHUNK, 0);
        let result = loop {
            let room = &mut self.input[before..];
            let result = match &mut self.device {
                Device::File(file) => file.read(room),
                Device::Process(process) => process.read(room),
                Device::Stdin => io::stdin().lock().read(room),
                Device::Stdout | Device::Stderr | Device::Closed => {
                    Err(io::Error::from_raw_os_error(BAD_FILE))
                }
            };
            if !matches!(&result, Err(error) if error.kind() == io::ErrorKind::Interrupted) {
                break result;
            }
        };
        self.input.truncate(before + result.as_ref().map_or(0, |count| *count));
        result
    }

    /// Forgets unread input and moves the file back to where the script is (ST1).
    fn give_input_back(&mut self) -> io::Result<()> {
        let ahead = self.input.len() - self.unread;
        self.input.clear();
        self.unread = 0;
        match &mut self.device {
            Device::File(file) if ahead > 0 => {
                file.seek(SeekFrom::Current(-(ahead as i64))).map(|_| ())
            }
            _ => Ok(()),
        }
    }

    // ---- output ----

    /// Writes, at once or later.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.direction == Direction::Input {
            return Err(io::Error::from_raw_os_error(BAD_FILE));
        }
        if !self.input.is_empty() {
            self.give_input_back()?;
        }
        if bytes.len() >= CHUNK {
            // The text may be of any length, so it is not copied into the buffer.
            self.write_out()?;
            return self.pass_on(bytes);
        }
        self.output.extend_from_slice(bytes);
        let at_once = match self.buffering {
            Buffering::None => true,
            Buffering::Line => bytes.contains(&b'\n'),
            Buffering::Full => false,
        };
        if at_once || self.output.len() >= CHUNK { self.write_out() } else { Ok(()) }
    }

    /// Passes pending output on.
    pub(super) fn write_out(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let output = core::mem::take(&mut self.output);
        let result = self.pass_on(&output);
        self.output = output;
        self.output.clear();
        result
    }

    fn pass_on(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.device {
            Device::File(file) => file.write_all(bytes),
            Device::Process(process) => process.write_all(bytes),
            Device::Stderr => io::stderr().lock().write_all(bytes),
            Device::Stdin | Device::Stdout | Device::Closed => {
                Err(io::Error::from_raw_os_error(BAD_FILE))
            }
        }
    }

    // ---- position ----

    /// Moves to a position and returns it.
    pub(super) fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        if !matches!(self.device, Device::File(_)) {
            return Err(io::Error::from_raw_os_error(ILLEGAL_SEEK));
        }
        self.write_out()?;
        self.give_input_back()?;
        match &mut self.device {
            Device::File(file) => file.seek(target),
            _ => unreachable!("looked at above"),
        }
    }

    // ---- the end ----

    /// Passes pending output on and closes the device. A process is waited for, even if writing the
    /// output has failed.
    pub(super) fn close(mut self) -> io::Result<Option<ExitStatus>> {
        let written = self.write_out();
        self.output.clear();
        match core::mem::replace(&mut self.device, Device::Closed) {
            Device::Process(process) => process.close().map(Some),
            _ => written.map(|()| None),
        }
    }
}

/// The target of a seek to `offset` bytes from the start.
pub(super) fn from_start(offset: i64) -> io::Result<SeekFrom> {
    let offset = u64::try_from(offset);
    offset.map(SeekFrom::Start).map_err(|_| io::Error::from_raw_os_error(INVALID_ARGUMENT))
}

impl Drop for Stream {
    fn drop(&mut self) {
        // ST3: no caller is left to report an error to.
        let _ = self.write_out();
    }
}

/// Reading in progress.
pub(super) struct Cursor<'s> {
    stream: &'s mut Stream,
    position: usize,
}

impl Cursor<'_> {
    /// Where the cursor is, for [`Stream::commit`].
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The bytes of a range that this cursor gave out.
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.stream.bytes(range)
    }

    fn available(&self) -> usize {
        self.stream.input.len() - self.position
    }

    fn fill(&mut self, limit: usize) -> io::Result<usize> {
        if self.available() > limit {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.stream.fill()
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.available() == 0 && self.stream.fill()? == 0 {
            return Ok(None);
        }
        Ok(Some(self.stream.input[self.position]))
    }

    /// Whether the end has been reached.
    pub(super) fn at_end(&mut self) -> io::Result<bool> {
        Ok(self.peek()?.is_none())
    }

    /// A line of at most `limit` bytes, `None` at the end.
    pub(super) fn line(&mut self, end: LineEnd, limit: usize) -> io::Result<Option<Range<usize>>> {
        let start = self.position;
        let mut searched = start;
        loop {
            if let Some(found) = memchr::memchr(b'\n', &self.stream.input[searched..]) {
                let newline = searched + found;
                self.position = newline + 1;
                let stop = match end {
                    LineEnd::Dropped => newline,
                    LineEnd::Kept => newline + 1,
                };
                return Ok(Some(start..stop));
            }
            searched = self.stream.input.len();
            if self.fill(limit)? == 0 {
                self.position = searched;
                return Ok((searched > start).then_some(start..searched));
            }
        }
    }

    /// Everything up to the end.
    pub(super) fn all(&mut self, limit: usize) -> io::Result<Range<usize>> {
        while self.fill(limit)? > 0 {}
        let start = self.position;
        self.position = self.stream.input.len();
        Ok(start..self.position)
    }

    /// At most `count` bytes, `None` at the end.
    pub(super) fn some(&mut self, count: usize, limit: usize) -> io::Result<Option<Range<usize>>> {
        while self.available() < count && self.fill(limit)? > 0 {}
        let start = self.position;
        self.position += self.available().min(count);
        Ok((self.position > start).then_some(start..self.position))
    }

    /// A numeral. Text that looks like the start of a numeral is read, even if it turns out not to
    /// be one.
    pub(super) fn number(&mut self) -> io::Result<Option<Number>> {
        while self.peek()?.is_some_and(number::is_space) {
            self.position += 1;
        }
        let mut numeral = Numeral { cursor: self, text: Vec::new(), overlong: false };
        numeral.accept(|byte| matches!(byte, b'-' | b'+'))?;
        let mut digits = 0;
        let mut is_digit: fn(u8) -> bool = |byte| byte.is_ascii_digit();
        let mut is_exponent: fn(u8) -> bool = |byte| matches!(byte, b'e' | b'E');
        if numeral.accept(|byte| byte == b'0')? {
            if numeral.accept(|byte| matches!(byte, b'x' | b'X'))? {
                is_digit = |byte| byte.is_ascii_hexdigit();
                is_exponent = |byte| matches!(byte, b'p' | b'P');
            } else {
                digits = 1;
            }
        }
        digits += numeral.accept_all(is_digit)?;
        if numeral.accept(|byte| byte == b'.')? {
            digits += numeral.accept_all(is_digit)?;
        }
        if digits > 0 && numeral.accept(is_exponent)? {
            numeral.accept(|byte| matches!(byte, b'-' | b'+'))?;
            numeral.accept_all(|byte| byte.is_ascii_digit())?;
        }
        if numeral.overlong {
            return Ok(None);
        }
        Ok(number::parse_number(&numeral.text))
    }
}

/// A numeral as far as it has been read.
struct Numeral<'c, 's> {
    cursor: &'c mut Cursor<'s>,
    text: Vec<u8>,
    overlong: bool,
}

impl Numeral<'_, '_> {
    fn accept(&mut self, wanted: impl Fn(u8) -> bool) -> io::Result<bool> {
        match self.cursor.peek()? {
            Some(byte) if !self.overlong && wanted(byte) => {
                if self.text.len() == MAX_NUMERAL {
                    self.overlong = true;
                    return Ok(false);
                }
                self.text.push(byte);
                self.cursor.position += 1;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn accept_all(&mut self, wanted: fn(u8) -> bool) -> io::Result<usize> {
        let before = self.text.len();
        while self.accept(wanted)? {}
        Ok(self.text.len() - before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LIMIT: usize = usize::MAX;

    /// A stream on a new file that is removed at once.
    fn scratch(content: &[u8]) -> Stream {
        let (mut file, name) = crate::stdlib::io::create_temporary().expect("a temporary file");
        std::fs::remove_file(name).expect("the name can go");
        file.write_all(content).expect("room for the content");
        file.rewind().expect("a file can be rewound");
        Stream::new(Device::File(file), Direction::Both)
    }

    fn line(stream: &mut Stream, end: LineEnd) -> Option<Vec<u8>> {
        let mut cursor = stream.begin().expect("open for reading");
        let range = cursor.line(end, NO_LIMIT).expect("no error");
        let line = range.map(|range| cursor.bytes(range).to_vec());
        let position = cursor.position();
        stream.commit(position);
        line
    }

    fn everything(stream: &mut Stream) -> Vec<u8> {
        let mut cursor = stream.begin().expect("open for reading");
        let range = cursor.all(NO_LIMIT).expect("no error");
        let all = cursor.bytes(range).to_vec();
        let position = cursor.position();
        stream.commit(position);
        all
    }

    #[test]
    fn lines() {
        let mut stream = scratch(b"one\n\nthree");
        assert_eq!(line(&mut stream, LineEnd::Dropped).as_deref(), Some(&b"one"[..]));
        assert_eq!(line(&mut stream, LineEnd::Kept).as_deref(), Some(&b"\n"[..]));
        assert_eq!(line(&mut stream, LineEnd::Kept).as_deref(), Some(&b"three"[..]));
        assert_eq!(line(&mut stream, LineEnd::Kept), None);
    }

    #[test]
    fn a_line_longer_than_the_buffer() {
        let mut content = vec![b'x'; 3 * CHUNK + 7];
        content.extend_from_slice(b"\nrest");
        let mut stream = scratch(&content);
        assert_eq!(line(&mut stream, LineEnd::Dropped).map(|line| line.len()), Some(3 * CHUNK + 7));
        assert_eq!(everything(&mut stream), b"rest");
    }

    #[test]
    fn what_is_not_committed_is_read_again() {
        let mut stream = scratch(b"first\nsecond\n");
        let mut cursor = stream.begin().expect("open for reading");
        assert_eq!(cursor.line(LineEnd::Dropped, NO_LIMIT).expect("no error"), Some(0..5));
        assert_eq!(line(&mut stream, LineEnd::Dropped).as_deref(), Some(&b"first"[..]));
        assert_eq!(everything(&mut stream), b"second\n");
    }

    #[test]
    fn writing_goes_on_where_reading_stopped() {
        let mut stream = scratch(b"0123456789");
        let mut cursor = stream.begin().expect("open for reading");
        assert_eq!(cursor.some(3, NO_LIMIT).expect("no error"), Some(0..3));
        let position = cursor.position();
        stream.commit(position);
        stream.write(b"AB").expect("open for writing");
        assert_eq!(everything(&mut stream), b"56789");
        assert_eq!(stream.seek(SeekFrom::Start(0)).expect("a file"), 0);
        assert_eq!(everything(&mut stream), b"012AB56789");
    }

    #[test]
    fn the_position_does_not_count_what_was_read_ahead() {
        let mut stream = scratch(b"0123456789");
        let mut cursor = stream.begin().expect("open for reading");
        cursor.some(4, NO_LIMIT).expect("no error");
        let position = cursor.position();
        stream.commit(position);
        assert_eq!(stream.seek(SeekFrom::Current(0)).expect("a file"), 4);
        assert_eq!(stream.seek(SeekFrom::Current(-2)).expect("a file"), 2);
        assert_eq!(everything(&mut stream), b"23456789");
    }

    #[test]
    fn numerals() {
        let mut stream = scratch(b" 12 -0x1p4 .5e1x 1e+ +");
        let mut cursor = stream.begin().expect("open for reading");
        assert_eq!(cursor.number().expect("no error"), Some(Number::Int(12)));
        assert_eq!(cursor.number().expect("no error"), Some(Number::Float(-16.0)));
        assert_eq!(cursor.number().expect("no error"), Some(Number::Float(5.0)));
        assert_eq!(cursor.number().expect("no error"), None, "x");
        assert_eq!(cursor.some(1, NO_LIMIT).expect("no error").map(|range| range.len()), Some(1));
        assert_eq!(cursor.number().expect("no error"), None, "1e+");
        assert_eq!(cursor.number().expect("no error"), None, "+");
        assert!(cursor.at_end().expect("no error"));
        let mut long = scratch(&[b'1'; MAX_NUMERAL + 1]);
        let mut cursor = long.begin().expect("open for reading");
        assert_eq!(cursor.number().expect("no error"), None, "too long");
        assert!(!cursor.at_end().expect("no error"));
    }

    #[test]
    fn limits_and_directions() {
        let mut stream = scratch(&[b'x'; 4 * CHUNK]);
        let mut cursor = stream.begin().expect("open for reading");
        let error = cursor.all(CHUNK).expect_err("more than the limit");
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
        let mut output = Stream::new(Device::Stderr, Direction::Output);
        assert!(output.begin().is_err());
        assert!(output.seek(SeekFrom::Start(0)).is_err());
        let mut input = Stream::new(Device::Stdin, Direction::Input);
        assert!(input.write(b"x").is_err());
        assert!(from_start(-1).is_err());
    }
}
